/** That the chaos's auditor sees what is wrong with transfers: a history without a flaw, and one flaw at a time. */
import { describe, expect, it } from 'vitest';
import { audit } from '../../chaos/auditor.ts';
import type { Commit, EndState, FinalJob } from '../../chaos/end-state.ts';
import {
  type Event,
  type Happened,
  keysOf,
  type Operation,
  type Value,
} from '../../chaos/history.ts';
import { START_CENTS } from '../../transfers/accounts.ts';

const [A, B, C] = ['account-0', 'account-1', 'account-2'] as const;
const OPERATIONS: readonly Operation[] = [
  transfer('first', A, B, 30),
  { op: 'between', key: B, update: 'append', named: true, failures: 0, attempts: 1 },
  transfer('second', B, C, 50),
];

function transfer(op: string, key: string, to: string, cents: number): Operation {
  return { op, key, to, cents, update: 'transfer', named: true, failures: 0, attempts: 1 };
}

/** The operations one after the other, each committed alone; a snapshot and reads of the cells behind each. */
class Story {
  readonly events: Happened[] = [];
  readonly jobs = new Map<string, FinalJob>();
  readonly values = new Map<string, Value>();
  readonly commits: Commit[] = [];
  #us = 1_000;

  constructor() {
    OPERATIONS.forEach((operation, at) => this.#carryOut(operation, at + 1));
  }

  #carryOut(operation: Operation, sequence: number): void {
    const { op } = operation;
    const token = 100 + sequence;
    this.tell({ e: 'asked', ...operation });
    this.tell({ e: 'enqueued', op, jobId: op });
    for (const key of keysOf(operation)) {
      const saw = this.values.get(key) ?? { n: 0, h: '', cents: START_CENTS };
      const made = after(saw, operation, key);
      const { update } = operation;
      this.tell({
        e: 'called',
        key,
        op,
        jobId: op,
        update,
        sequence,
        token,
        attempt: 1,
        saw,
        made,
      });
      this.values.set(key, made);
      this.tell({ e: 'read', server: 0, key, sinceUs: this.#us, token, value: made });
      const base = this.commits.findLast((commit) => commit.key === key)?.token ?? 0;
      this.commits.push({ key, token, base, applied: [op] });
    }
    const result = this.values.get(operation.key) as Value;
    this.tell({ e: 'completed', jobId: op, result });
    this.jobs.set(op, { state: 'completed', result, reason: '', attempts: 1 });
    this.snapshot(this.values);
  }

  tell(event: Event): void {
    this.events.push({ ...event, us: (this.#us += 10), by: 'worker-0' });
  }

  snapshot(values: ReadonlyMap<string, Value>): void {
    this.tell({ e: 'snapshot', sinceUs: this.#us, values: Object.fromEntries(values) });
  }

  /** Calls of an operation for one of its keys, as if they had never been. */
  forget(op: string, key: string): void {
    const at = this.events.findIndex(
      (event) => event.e === 'called' && event.op === op && event.key === key,
    );
    this.events.splice(at, 1);
  }

  /** What the auditor tells. */
  broken(): string {
    const copies = new Map([...this.values].map(([key, value]) => [key, { token: 1, value }]));
    const end: EndState = { jobs: this.jobs, copies, commits: this.commits };
    return audit(this.events, end)
      .map(({ what }) => what)
      .join('; ');
  }
}

function after(
  { n, h, cents = 0 }: Value,
  { op, to, cents: sum = 0 }: Operation,
  key: string,
): Value {
  return { n: n + 1, h: `${h} ${op}`, cents: cents + (key === to ? sum : -sum) };
}

describe('the auditor of transfers', () => {
  it('finds nothing in a history without a flaw', () => {
    expect(new Story().broken()).toBe('');
  });

  const flaws: Record<string, [told: RegExp, spoil: (story: Story) => unknown]> = {
    'a snapshot that has a transfer at one account alone': [
      /a snapshot at \d+: the sum is/,
      (story) => story.snapshot(new Map([...story.values].filter(([key]) => key !== C))),
    ],
    'a snapshot of a value that is not in its chain': [
      /a snapshot at \d+: account-0 is .*"digest":"elsewhere"/,
      (story) => {
        const value = { n: 1, h: 'elsewhere', cents: START_CENTS - 30 };
        story.snapshot(new Map(story.values).set(A, value));
      },
    ],
    'a transfer that was applied at one account alone': [
      /first was applied 1 times to account-0, 0 times to account-1/,
      (story) => {
        story.forget('first', B);
        const calls = story.events.filter((event) => event.e === 'called' && event.key === B);
        // The chain of the other one begins with the job behind it.
        Object.assign(calls[0] as object, { saw: { n: 0, h: '', cents: START_CENTS } });
      },
    ],
    'a copy with another sum than its jobs come to': [
      /the copies in the end: account-2 is/,
      (story) => story.values.set(C, { ...(story.values.get(C) as Value), cents: START_CENTS }),
    ],
    'a cell that lacks the last transfer': [
      /the cells in the end: the sum is/,
      (story) => {
        const value = { n: 0, h: '', cents: START_CENTS };
        story.tell({ e: 'read', server: 0, key: C, sinceUs: 0, token: 0, value });
      },
    ],
    'a completed transfer that only one account has': [
      /job third \(third\): completed, but is not in the chain/,
      (story) => {
        story.tell({ e: 'asked', ...transfer('third', A, C, 10) });
        story.tell({ e: 'enqueued', op: 'third', jobId: 'third' });
        const result = story.values.get(A);
        story.jobs.set('third', { state: 'completed', result, reason: '', attempts: 1 });
      },
    ],
    'a transfer with the result of another': [
      /job second \(second\): has the result/,
      (story) => {
        const result = story.values.get(A);
        story.jobs.set('second', { state: 'completed', result, reason: '', attempts: 1 });
      },
    ],
  };

  it.each(Object.entries(flaws))('finds %s', (_, [told, spoil]) => {
    const story = new Story();
    spoil(story);
    expect(story.broken()).toMatch(told);
  });

  it('holds a snapshot that Redis may have forgotten to its sum alone', () => {
    const story = new Story();
    const forgotten = { n: 1, h: 'forgotten', cents: START_CENTS - 30 };
    const seen = new Map(story.values).set(A, forgotten);
    story.tell({ e: 'wentBack', fromUs: 1_000 });
    story.snapshot(seen);
    expect(story.broken()).toBe('');
    story.snapshot(new Map(seen).set(C, forgotten));
    expect(story.broken()).toMatch(/^a snapshot at \d+: the sum is/);
  });
});
