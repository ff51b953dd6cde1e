import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { SlotFiller } from '../../../src/jobs/bullmq/fast-path/slot-filler.ts';

const jobOf = (jobId: string) => [['name', 'n'], jobId, 0, 0] as const;

/** A Redis in which these wait. */
function stage(...waiting: string[]) {
  const moments: (() => void)[] = [];
  const givenBack: string[] = [];
  const expected = new Set<string>();
  const time = { nowMs: 0, looks: [] as (() => void)[] };
  const filler = new SlotFiller({
    clock: {
      ...systemClock,
      soon: (callback) => void moments.push(callback),
      monotonicMs: () => time.nowMs,
      after(_, callback) {
        time.looks.push(callback);
        return { cancel: () => void time.looks.splice(time.looks.indexOf(callback), 1) };
      },
    },
    expects: (token) => expected.has(token),
    ...{ lockMs: 30_000, tellTime: () => undefined },
    calls: {
      fill: (tokens) =>
        Promise.resolve({
          nowMs: 1_704_067_200_000,
          answers: waiting.splice(0, tokens.length).map(jobOf),
        }),
    },
    giveBack: (jobId, token) => Promise.resolve(givenBack.push(`${jobId} of ${token}`)),
  });
  /** So many milliseconds later it is looked again at what is left. */
  const looksAfter = (ms: number): void => {
    time.nowMs += ms;
    time.looks.splice(0).forEach((look) => look());
  };
  const momentEnds = (): void => moments.splice(0).forEach((end) => end());
  return { filler, givenBack, expected, looksAfter, momentEnds };
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

test('keeps what is still going to be asked for, and gives back what no longer is', async () => {
  const { filler, givenBack, expected, looksAfter, momentEnds } = stage('1', '2', '3');
  expected.add('b').add('c');
  await filler.fill('a', ['b', 'c']);
  momentEnds();
  looksAfter(5);
  expect(givenBack).toEqual([]);
  expect(filler.take('b')).toEqual(jobOf('2'));
  expected.clear();
  looksAfter(5);
  expect(givenBack).toEqual(['3 of c']);
});

test('keeps nothing for longer than a second or a quarter of its lock', async () => {
  const { filler, givenBack, expected, looksAfter, momentEnds } = stage('1', '2');
  expected.add('b');
  await filler.fill('a', ['b']);
  momentEnds();
  looksAfter(999);
  expect(givenBack).toEqual([]);
  looksAfter(1);
  expect(givenBack).toEqual(['2 of b']);
});

test('gives everything back when it closes', async () => {
  const { filler, givenBack, expected, momentEnds } = stage('1', '2');
  expected.add('b');
  await filler.fill('a', ['b']);
  momentEnds();
  await filler.settled();
  expect(givenBack).toEqual(['2 of b']);
});
