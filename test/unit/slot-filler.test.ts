import { expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { SlotFiller } from '../../src/jobs/slot-filler.ts';

const jobOf = (jobId: string) => [['name', 'n'], jobId, 0, 0] as const;

/** A Redis in which these wait. */
function stage(...waiting: string[]) {
  const moments: (() => void)[] = [];
  const givenBack: string[] = [];
  const filler = new SlotFiller({
    clock: { ...systemClock, soon: (callback) => void moments.push(callback) },
    ...{ lockMs: 30_000, workerName: undefined, tellTime: () => undefined },
    run: ([, , ...tokens]) =>
      Promise.resolve(
        `1704067200000${JSON.stringify(waiting.splice(0, tokens.length).map(jobOf))}`,
      ),
    giveBack: (jobId, token) => Promise.resolve(givenBack.push(`${jobId} of ${token}`)),
  });
  return { filler, givenBack, momentEnds: () => moments.splice(0).forEach((end) => end()) };
}

test('fetches for the slot that asks and for those that will, each once', async () => {
  const { filler, givenBack, momentEnds } = stage('1', '2', '3');
  expect(await filler.fill('a', ['b', 'c', 'd'])).toEqual(jobOf('1'));
  expect(filler.take('c')).toEqual(jobOf('3'));
  expect(filler.take('b')).toEqual(jobOf('2'));
  expect([filler.take('b'), filler.take('d')]).toEqual([undefined, undefined]);
  momentEnds();
  expect(givenBack).toEqual([]);
});

test('gives back what nobody has asked for at the end of the moment, the first one last, to be the next', async () => {
  const { filler, givenBack, momentEnds } = stage('1', '2', '3', '4');
  await filler.fill('a', ['b', 'c', 'd']);
  filler.take('b');
  momentEnds();
  expect(givenBack).toEqual(['4 of d', '3 of c']);
  expect(filler.take('c')).toBeUndefined();
  await filler.settled();
});
