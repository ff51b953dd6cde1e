/**
 * BullMQ's questions about jobs that wait, answered as its users mean them. A job that gave its slot back
 * until its turn (*snoozed*) lies in BullMQ's delayed set, but nobody delayed it: it waits, like those in
 * the wait list or, with a priority, in the prioritized set. How they are told apart: state/snoozing/snoozed.ts.
 */
import { ownPrefixOf } from '../../redis/own-keys.ts';
import { IS_HELD_BACK, TAKE_PROMOTED } from './state/snoozing/promote.ts';
import {
  COUNT_WAITING,
  FORGET_WOKEN,
  NOTE_PRIORITY,
  RANGE_DELAYED,
  RANGE_WAITING,
  SNOOZED_AS,
  SNOOZED_PRIORITIES,
} from './state/snoozing/snoozed.ts';
import type { Script } from '../redis/scripts/script.ts';
import { isKnownBullMQ } from './state/known-bullmq.ts';
import { CODE } from './state/layout.ts';
import { CHOOSE, type Fate, setAsideScript } from './state/set-aside.ts';

/** BullMQ's names of the states in which a snoozed job waits. */
export type WaitingState = 'wait' | 'prioritized';

export const WAITING_STATES: readonly WaitingState[] = ['wait', 'prioritized'];

export interface WaitingCounts {
  readonly wait: number;
  readonly prioritized: number;
  /** Only what a user delayed, or what waits for its backoff. */
  readonly delayed: number;
  /** Of the first two: those that are snoozed. */
  readonly snoozed: Readonly<Record<WaitingState, number>>;
}

export interface Range {
  /** From 0; negative from the end. Both included. */
  readonly first: number;
  readonly last: number;
  /** In the order of delivery; false: the last one first, and counted so. */
  readonly ascending: boolean;
}

/** Jobs that are removed or promoted: at most so many, and (for `notAfterMs`, since 1970) only old ones. */
export interface Choice {
  readonly most: number;
  readonly notAfterMs?: number;
}

/** What is needed of a Redis client that knows the scripts. */
export interface SnoozingClient {
  runCommand(name: string, args: unknown[]): Promise<unknown>;
}

const SAID_NO: ReadonlySet<unknown> = new Set([
  ...[CODE.jobMissing, CODE.notInState, CODE.ofScheduler],
]);

/** Entries that one call looks at, so that it does not block Redis for more than 1 or 2 ms. */
const ENTRIES_PER_CALL = 1_000;
/** Jobs that are taken at a time to be promoted one by one: so many lie until they are due if the process dies meanwhile. */
const PROMOTED_PER_CALL = 20;

const FATES: Readonly<Record<Fate, Script>> = {
  remove: setAsideScript('remove'),
  promote: setAsideScript('promote'),
};

export const SNOOZING_SCRIPTS: readonly Script[] = [
  ...[COUNT_WAITING, FORGET_WOKEN, NOTE_PRIORITY, RANGE_DELAYED, RANGE_WAITING],
  ...[SNOOZED_AS, SNOOZED_PRIORITIES],
  ...(isKnownBullMQ() ? Object.values(FATES) : [CHOOSE, IS_HELD_BACK, TAKE_PROMOTED]),
];

/** What a walk through the delayed set has come to. */
interface Step {
  /** The rank to go on at; negative: it is through. */
  readonly next: number;
  /** Jobs that were removed or promoted. */
  readonly went: number;
  readonly reply: unknown;
}

/** BullMQ's own calls, each for one job: where its scripts are unknown. */
export interface OneByOne {
  /** @throws what BullMQ says of a job that is not delayed */
  promote(jobId: string): Promise<void>;
  /** 0: it was refused. @throws what BullMQ says of a scheduler's job */
  remove(jobId: string): Promise<number>;
}

export class SnoozedJobs {
  readonly #client: () => Promise<SnoozingClient>;
  readonly #prefix: string;
  readonly #own: string;
  readonly #oneByOne: OneByOne;

  /**
   * @param prefix of the queue's Redis keys, with the colon at its end
   */
  constructor(client: () => Promise<SnoozingClient>, prefix: string, oneByOne: OneByOne) {
    this.#oneByOne = oneByOne;
    this.#client = client;
    this.#prefix = prefix;
    this.#own = ownPrefixOf(prefix);
  }

  /** The state in which a job waits, if it is snoozed. */
  async stateOf(jobId: string): Promise<WaitingState | undefined> {
    return ((await this.#run(SNOOZED_AS, jobId)) as WaitingState | '') || undefined;
  }

  /** @param dueBeforeMs only delayed jobs, and snoozed ones, that are due before this time since 1970 */
  async counts(dueBeforeMs?: number): Promise<WaitingCounts> {
    // The last look comes with the counting, in one write.
    const forgotten = WAITING_STATES.map((state) => this.#forgetWoken(state));
    const [first, ...calls] = await Promise.all([this.#count(dueBeforeMs), ...forgotten]);
    return calls.every((number) => number === 1) ? first : this.#count(dueBeforeMs);
  }

  /** Whether there are any, or have been lately. */
  async any(): Promise<boolean> {
    const { snoozed } = await this.counts();
    return snoozed.wait + snoozed.prioritized > 0;
  }

  /** Ids of waiting jobs, snoozed or not: those that BullMQ delivers next, then the others by their time. */
  async waiting(state: WaitingState, { first, last, ascending }: Range): Promise<string[]> {
    await this.#forgetWoken(state);
    return (await this.#run(RANGE_WAITING, state, first, last, ascending ? 1 : 0)) as string[];
  }

  /** Ids of delayed jobs that are not snoozed. */
  async delayed(range: Range): Promise<string[]> {
    const { first, last } = await this.#fromTheStart(range);
    const command = range.ascending ? 'ZRANGE' : 'ZREVRANGE';
    const jobIds: string[] = [];
    for (let rank = 0; jobIds.length <= last; rank += ENTRIES_PER_CALL) {
      const reply = await this.#run(RANGE_DELAYED, command, rank, ENTRIES_PER_CALL);
      const [looked, ...found] = reply as [number, ...string[]];
      jobIds.push(...found);
      if (looked < ENTRIES_PER_CALL) break;
    }
    return jobIds.slice(first, last + 1);
  }

  /** How many snoozed jobs have each priority. */
  async priorities(): Promise<Map<number, number>> {
    const counts = new Map([[0, (await this.counts()).snoozed.wait]]);
    for (let rank = 0; ; rank += ENTRIES_PER_CALL) {
      const found = (await this.#run(SNOOZED_PRIORITIES, rank, ENTRIES_PER_CALL)) as string[];
      for (const text of found) counts.set(Number(text), (counts.get(Number(text)) ?? 0) + 1);
      if (found.length < ENTRIES_PER_CALL) return counts;
    }
  }

  /** The job has got another priority. */
  async notePriority(jobId: string): Promise<void> {
    await this.#run(NOTE_PRIORITY, jobId);
  }

  /** Has BullMQ deliver a job that its lane waits for, unless it waits for its backoff. As `wakePromoted`, where BullMQ is unknown. */
  async wakeFirst(jobId: string): Promise<void> {
    if ((await this.#run(IS_HELD_BACK, jobId)) === 1) await this.#meets('promote', jobId);
  }

  /** Has BullMQ deliver those that have nothing to wait for any more. Where it is known, the step that saw to that has done it. */
  async wakePromoted(): Promise<void> {
    if (isKnownBullMQ()) return;
    let jobIds: string[];
    do {
      jobIds = (await this.#run(TAKE_PROMOTED, PROMOTED_PER_CALL)) as string[];
      for (const jobId of jobIds) await this.#meets('promote', jobId);
    } while (jobIds.length === PROMOTED_PER_CALL);
  }

  /**
   * Has BullMQ remove or promote jobs of its delayed set: those that are snoozed as waiting in this state, or
   * (`delayed`) those that are not snoozed. Returns how many went, and what BullMQ's script returned each time.
   */
  async each(
    fate: Fate,
    which: WaitingState | 'delayed',
    { most, notAfterMs }: Choice,
  ): Promise<{ jobs: number; replies: unknown[] }> {
    const replies: unknown[] = [];
    let jobs = 0;
    let rank = 0;
    while (rank >= 0 && jobs < most) {
      const atMost = Math.min(most - jobs, ENTRIES_PER_CALL);
      const args = [which, rank, ENTRIES_PER_CALL, atMost, notAfterMs ?? ''];
      const step = await (isKnownBullMQ() ? this.#byScript(fate, args) : this.#byCalls(fate, args));
      if (step.went > 0) replies.push(step.reply);
      jobs += step.went;
      rank = step.next;
    }
    return { jobs, replies };
  }

  async #byScript(fate: Fate, args: (string | number)[]): Promise<Step> {
    const reply = (await this.#run(FATES[fate], ...args)) as [number, number, unknown];
    return { next: reply[0], went: reply[1], reply: reply[2] };
  }

  async #byCalls(fate: Fate, args: (string | number)[]): Promise<Step> {
    const [next, jobIds] = (await this.#run(CHOOSE, ...args)) as [number, string[]];
    const gone: string[] = [];
    for (const jobId of jobIds) if (await this.#meets(fate, jobId)) gone.push(jobId);
    const went = gone.length;
    // What has left the delayed set stays in that of the snoozed ones, until it is forgotten.
    const isShorter = next >= 0 && args[0] === 'delayed';
    return { next: isShorter ? next - went : next, went, reply: gone };
  }

  /** Whether it did, by BullMQ's own call. */
  async #meets(fate: Fate, jobId: string): Promise<boolean> {
    try {
      return (await this.#oneByOne[fate](jobId)) !== 0;
    } catch (thrown) {
      // It is gone, has moved on, or is a scheduler's next one, which stays.
      if (SAID_NO.has((thrown as { code?: unknown } | null)?.code)) return false;
      throw thrown;
    }
  }

  async #fromTheStart(range: Range): Promise<{ first: number; last: number }> {
    const { first, last } = range;
    if (first >= 0 && last >= 0) return range;
    if (first >= 0 && last === -1) return { first, last: Number.MAX_SAFE_INTEGER };
    const { delayed } = await this.counts();
    const fromStart = (rank: number): number => (rank < 0 ? rank + delayed : rank);
    return { first: Math.max(fromStart(first), 0), last: fromStart(last) };
  }

  async #count(dueBeforeMs: number | undefined): Promise<WaitingCounts> {
    const reply = (await this.#run(COUNT_WAITING, dueBeforeMs ?? '')) as number[];
    const [wait, prioritized, delayed, snoozedWait, snoozedPrioritized] = reply as [
      ...[number, number, number, number, number],
    ];
    const snoozed = { wait: snoozedWait, prioritized: snoozedPrioritized };
    return { wait, prioritized, delayed, snoozed };
  }

  /** Returns how many calls it took. */
  async #forgetWoken(state: WaitingState): Promise<number> {
    let calls = 0;
    for (let rank = 0; rank >= 0; calls++) {
      rank = Number(await this.#run(FORGET_WOKEN, state, rank, ENTRIES_PER_CALL));
    }
    return calls;
  }

  async #run({ name }: Script, ...args: (string | number)[]): Promise<unknown> {
    return (await this.#client()).runCommand(name, this.#arguments(args));
  }

  #arguments(args: readonly (string | number)[]): (string | number)[] {
    return [`${this.#own}sequence`, this.#prefix, ...args];
  }
}
