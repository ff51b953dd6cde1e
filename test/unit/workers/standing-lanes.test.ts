/** Lanes that stand still until somebody else acts, who does not tell. */
import { describe, expect, it } from 'vitest';
import type { LaneSight, StandingLane } from '../../../src/jobs/lanes.ts';
import { StandingLanes } from '../../../src/workers/watching/standing-lanes.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

/** Lanes are seen as `sights` says, by key; all others stand. */
function scene(sights: Record<string, LaneSight | Error> = {}) {
  const clock = new VirtualClock();
  const looked: number[] = [];
  const visited: string[] = [];
  const standing = new StandingLanes({
    clock,
    lanes: {
      async lookAt(lanes: readonly StandingLane[]) {
        looked.push(lanes.length);
        return lanes.map(({ key }) => {
          const sight = sights[key] ?? 'stands';
          if (sight instanceof Error) throw sight;
          return sight;
        });
      },
    },
    visit: (key) => visited.push(key),
  });
  return { clock, looked, visited, standing, sights };
}

describe('a lane that stands still', () => {
  it('is visited once its first job is gone, and only then', async () => {
    const { clock, visited, standing, sights } = scene();
    standing.note('k', '1');
    await clock.advance(10_000);
    expect(visited).toEqual([]);
    sights['k'] = 'released';
    await clock.advance(2_000);
    expect(visited).toEqual(['k']);
    await clock.advance(10_000);
    expect(visited).toEqual(['k']);
  });

  it('is forgotten when somebody goes on', async () => {
    const { clock, looked, visited, standing } = scene({ k: 'moved-on' });
    standing.note('k', '1');
    await clock.advance(60_000);
    expect([visited, looked]).toEqual([[], [1]]);
  });

  it('is looked at again if Redis was out of reach', async () => {
    const { clock, visited, standing, sights } = scene({ k: new Error('away') });
    standing.note('k', '1');
    await clock.advance(5_000);
    sights['k'] = 'released';
    await clock.advance(2_000);
    expect(visited).toEqual(['k']);
  });

  it('is looked at together with others, 200 at a time, and no more than 10,000', async () => {
    const { clock, looked, standing } = scene();
    for (let n = 0; n < 10_100; n++) standing.note(`k${n}`, '1');
    await clock.advance(2_000);
    expect(looked).toEqual(Array(50).fill(200));
  });

  it('is nobody’s business any more when the worker has closed', async () => {
    const { clock, looked, standing } = scene();
    standing.note('k', '1');
    standing.close();
    await clock.advance(60_000);
    expect(looked).toEqual([]);
  });
});
