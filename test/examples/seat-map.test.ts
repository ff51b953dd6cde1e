import { expect, test } from 'vitest';
import { traffic } from '../../examples/seat-map/traffic.ts';
import { book, cancel, draw, type SeatMap, wait } from '../../examples/seat-map/updates.ts';
import { type AnyUpdate, replay } from '../../src/index.ts';
import { inMemory, valuesOf } from '../support/replaying.ts';
import { fileOf, findings, replayed, run } from './examples.ts';

const updates: readonly AnyUpdate[] = [book, wait, cancel, draw];
const RECORDING = fileOf('seat-map', 'recording.jsonl');
const SHOWS = ['show:carmen', 'show:fidelio'];

/** Who sits where and who waits, by first come, first served, told in another way. */
function seating(show: string): Pick<SeatMap, 'taken' | 'waiting'> {
  const taken = new Map<string, string>();
  const waiting: string[] = [];
  for (const { name, data } of traffic()) {
    const job = data as { show: string; guest: string; seats: string[] };
    if (`show:${job.show}` !== show) continue;
    if (name === 'wait') waiting.push(job.guest);
    if (name === 'book' && !job.seats.some((seat) => taken.has(seat)))
      for (const seat of job.seats) taken.set(seat, job.guest);
    if (name !== 'cancel') continue;
    for (const [seat, guest] of taken) {
      if (guest !== job.guest) continue;
      const next = waiting.shift();
      if (next === undefined) taken.delete(seat);
      else taken.set(seat, next);
    }
  }
  return { taken: Object.fromEntries(taken), waiting };
}

function expectSeating(values: ReadonlyMap<string, unknown>): void {
  for (const show of SHOWS) {
    const map = values.get(show) as SeatMap;
    expect(map).toMatchObject(seating(show));
    expect(new Set(map.backstage).size).toBe(map.backstage.length);
  }
}

test('two workers give no seat twice, and refuse what is taken', async () => {
  const ran = await run(updates, traffic());
  expect(ran.failures.length).toBeGreaterThan(0);
  expect(ran.failures.every((why) => / (is|are) taken$/.test(why))).toBe(true);
  const live = await ran.here.cells.getMany(SHOWS);
  expectSeating(live);
  expect(await replayed(ran, updates)).toEqual(live);
});

test('its recording replays to the same seats and lots, and on the in-memory engines to the same seats', async () => {
  expectSeating(await valuesOf(RECORDING, updates));
  expectSeating(await inMemory(RECORDING, updates, { batchJobsMax: 4 }));
});

test('its recording catches an update that serves the last who waits first', async () => {
  const unfair = {
    ...wait,
    apply: (map: SeatMap, { guest }: { guest: string }) => ({
      ...map,
      waiting: [guest, ...map.waiting],
    }),
  };
  const report = await replay(RECORDING, [book, unfair, cancel, draw], { former: updates });
  for (const { difference } of report.keys) expect(difference?.jobs[0]?.update).toBe('wait');
  expect(report.agrees).toBe(false);
});

test('its updates depend on nothing else', async () => {
  expect(await findings(updates, traffic())).toEqual([]);
});
