/** Which deaths the simulation's auditor lets a job fail for (P7): those of processes that had begun it alone, each once. */
import { expect, test } from 'vitest';
import { JobLedger } from '../../simulation/job-ledger.ts';

const LEASE_MS = 100;
const HELD = 'the process died or froze 2 times while it applied only this job';

interface Scene {
  readonly ledger: JobLedger;
  readonly dead: Set<string>;
  pass(ms: number): void;
  /** What the auditor says when the job is made to hold its lane. */
  hold(): string[];
}

function scene(stallsMax: number): Scene {
  let nowMs = 0;
  const reports: string[] = [];
  const dead = new Set<string>();
  const ledger = new JobLedger(
    {
      ...{ stallsMax, leaseMs: LEASE_MS, isAlive: (process: string) => !dead.has(process) },
      settings: { log: { onFailure: 'block', onExhausted: 'hold' } },
    },
    () => nowMs,
    (promise) => void reports.push(promise),
  );
  ledger.added('a', { key: 'k', kind: 'log', attempts: 1, entered: true });
  const nothing = { key: 'k', base: 0, token: 9, value: '', applied: new Map(), decided: [] };
  return {
    ledger,
    dead,
    pass: (ms) => void (nowMs += ms),
    hold() {
      ledger.decided({ ...nothing, held: new Map([['a', HELD]]), waiting: [] }, []);
      return reports;
    },
  };
}

/** Redis has noted that a process begins it, and BullMQ takes it for stalled. */
function beginAndStall({ ledger }: Scene, process: string, token: number): void {
  ledger.startsAlone(process, 'a', token);
  ledger.startedAlone('a', token);
  ledger.stalled('a');
}

test('a process that ended after Redis had noted its start counts, whether it had heard of that or not', () => {
  const here = scene(1);
  beginAndStall(here, 'p1', 1);
  here.dead.add('p1');
  expect(here.hold()).toEqual([]);
});

test('one whose start was never noted does not', () => {
  const here = scene(1);
  here.ledger.startsAlone('p1', 'a', 1);
  here.ledger.stalled('a');
  here.dead.add('p1');
  expect(here.hold()).toEqual(['P7']);
});

test('one that lives does not, until it has said nothing for a lease', () => {
  const charged = scene(1);
  beginAndStall(charged, 'p1', 1);
  charged.pass(LEASE_MS - 1);
  expect(charged.hold()).toEqual(['P7']);
  const silent = scene(1);
  beginAndStall(silent, 'p1', 1);
  silent.pass(LEASE_MS);
  expect(silent.hold()).toEqual([]);
});

test('one that has said that it lived through it does not, though it has ended since', () => {
  const here = scene(1);
  beginAndStall(here, 'p1', 1);
  here.ledger.survived('a', [1]);
  here.dead.add('p1');
  expect(here.hold()).toEqual(['P7']);
});

test('one that asks once more whether it may begin has not begun by what was noted before', () => {
  const here = scene(1);
  beginAndStall(here, 'p1', 1);
  here.ledger.startsAlone('p1', 'a', 1);
  here.ledger.stalled('a');
  here.dead.add('p1');
  expect(here.hold()).toEqual(['P7']);
});

test('one death is one, however often the job stalls, and a later start is another', () => {
  const once = scene(2);
  beginAndStall(once, 'p1', 1);
  once.dead.add('p1');
  once.ledger.stalled('a');
  expect(once.hold()).toEqual(['P7']);
  const twice = scene(2);
  beginAndStall(twice, 'p1', 1);
  beginAndStall(twice, 'p2', 2);
  for (const process of ['p1', 'p2']) twice.dead.add(process);
  expect(twice.hold()).toEqual([]);
});
