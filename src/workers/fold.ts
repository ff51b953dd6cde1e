/**
 * Applies the head of a lane to a value, in order, in memory. What comes out is a batch that may be
 * committed; nothing has happened until it is. Every entry is either decided (applied, failed for
 * good, moved, stray) or the batch stops before it: no entry is ever passed over.
 */
import type { Clock } from '../base/clock.ts';
import { TorilError, messageOf } from '../errors.ts';
import { applyUpdate, errorOf, type AppliedUpdate } from '../jobs/apply.ts';
import { isUnchangeable } from '../jobs/frozen-value.ts';
import type { Origin } from '../jobs/history.ts';
import { validated } from '../jobs/job-data.ts';
import type { LaneEntry } from '../jobs/lanes.ts';
import { encodeDecision, PLAIN_APPLIED, type JobOutcome } from '../jobs/outcome.ts';
import type { AnyUpdate } from '../jobs/update.ts';
import type { UpdateRegistry } from '../jobs/update-registry.ts';
import type { Arrival, Settlement } from './arrival.ts';
import type { Blockers } from './key-memory.ts';

/** Why a batch ends where it ends. */
export type Stop =
  /** Every entry is decided. */
  | { readonly kind: 'end' }
  /** Commit what there is, then go on: a limit was reached, or the next job must be alone. */
  | { readonly kind: 'commit' }
  /** The next job waits for its own delivery: it failed or stalled before, or the queue is paused. */
  | { readonly kind: 'delivery'; readonly jobId: string }
  /** The next job's update is not registered in this process. */
  | { readonly kind: 'unknown-update'; readonly jobId: string; readonly name: string }
  /** The next job used up its attempts, and its update says `hold`. */
  | { readonly kind: 'held'; readonly jobId: string; readonly reason: string }
  /** The lease is over: nothing of this batch may be committed. */
  | { readonly kind: 'lost' };

export interface Batch {
  /** Undefined: the cell is deleted, or there was nothing and is nothing. */
  readonly value: unknown;
  readonly watermark: number;
  /** Encoded decisions that must be named (anything but "applied, without a result"). */
  readonly decisions: ReadonlyMap<string, string>;
  /** What to tell delivered jobs once the batch is acknowledged. */
  readonly settlements: ReadonlyMap<string, Settlement>;
  /** Entries decided, and of these applied. */
  readonly decided: number;
  readonly applied: number;
  /** The value's lifetime, by the last update applied; undefined: as before. */
  readonly expireMs: number | undefined;
  readonly stop: Stop;
}

export interface FoldStart {
  /** Makes the value the fold starts from, anew each time, since updates may change what they get. */
  readonly fresh: () => unknown;
  readonly watermark: number;
  /** Where that value comes from. */
  readonly origin: Origin;
  /** Jobs up to this sequence fail because an earlier one cascaded. */
  readonly cascadeTo: number;
  readonly token: number;
}

export interface FoldRules {
  readonly key: string;
  readonly registry: UpdateRegistry;
  readonly clock: Clock;
  readonly batchMs: number;
  readonly stallsMax: number;
  /** Only delivered jobs may be applied: the queue or the worker is paused, or rate limited. */
  readonly onlyDelivered: () => boolean;
  readonly arrivalOf: (jobId: string) => Arrival | undefined;
  /** Jobs that failed when they were tried in somebody else's delivery. */
  readonly suspects: Set<string>;
  /** Each job is noted here when its turn comes: from then on it must not be parked, or could not be charged. */
  readonly inHand: Set<string>;
  /** Told when an asynchronous update begins to be waited for, and when it has settled. */
  readonly awaiting: (isAwaiting: boolean) => void;
  /** Jobs whose new value does not fit into memcached. */
  readonly overweight: ReadonlyMap<string, TorilError>;
  readonly blockers: Blockers;
  /** Milliseconds that a lease lasts if the process is too busy to renew it. */
  readonly leaseMs: number;
  readonly leaseSignal: () => AbortSignal;
  readonly leaseHeld: () => boolean;
  /** Counts a job that stalled before, right before it is applied alone. */
  readonly startAlone: (jobId: string) => Promise<number>;
}

/** Characters of a failure's message that travel with its decision; BullMQ gets the whole. */
const MESSAGE_MAX = 500;
/**
 * Times in a row that an update may take longer than its lease without letting the process renew it.
 * Nothing of it can be committed. One such time may be a process that was frozen just then.
 */
const BLOCKED_TIMES_MAX = 3;
/** Jobs remembered for it; forgetting them costs some more tries. */
const BLOCKERS_MAX = 1_000;
/** Errors after which another attempt could not end otherwise. */
const FINAL_CODES = new Set([
  'VALUE_TOO_LARGE',
  'JOB_STALLED_TOO_OFTEN',
  'JOB_DROPPED',
  'JOB_CASCADED',
]);

export function isFinal(thrown: Error): boolean {
  return (
    thrown.name === 'UnrecoverableError' ||
    (thrown instanceof TorilError && FINAL_CODES.has(thrown.code))
  );
}

/** A promise only if an update, or a schema, is asynchronous: most are not, and promises cost. */
export function fold(
  start: FoldStart,
  entries: readonly LaneEntry[],
  rules: FoldRules,
): Batch | Promise<Batch> {
  return new Folding(start, rules).run(entries, 0);
}

/** Undefined: the job belongs to another key. */
type MaybeApplied = AppliedUpdate | undefined;

interface Replayable {
  readonly update: AnyUpdate;
  readonly entry: LaneEntry;
}

class Folding {
  readonly #start: FoldStart;
  readonly #rules: FoldRules;
  readonly #decisions = new Map<string, string>();
  readonly #settlements = new Map<string, Settlement>();
  readonly #startedMs: number;
  /** When the last entry was done with. */
  #lastMs: number;
  #value: unknown;
  #watermark: number;
  #decided = 0;
  #applied = 0;
  #expireMs: number | undefined;
  /** From where the value can be made again if an update spoils it and throws. */
  #checkpoint: () => unknown;
  #sinceCheckpoint: Replayable[] = [];

  constructor(start: FoldStart, rules: FoldRules) {
    this.#start = start;
    this.#rules = rules;
    this.#startedMs = rules.clock.monotonicMs();
    this.#lastMs = this.#startedMs;
    this.#checkpoint = start.fresh;
    this.#value = start.fresh();
    this.#watermark = start.watermark;
  }

  /** Decides the entries from the one at `from` on. */
  run(entries: readonly LaneEntry[], from: number): Batch | Promise<Batch> {
    for (let at = from; at < entries.length; at++) {
      const entry = entries[at] as LaneEntry;
      this.#rules.inHand.add(entry.jobId);
      const stop = this.#step(entry);
      if (stop instanceof Promise) {
        this.#rules.awaiting(true);
        return stop.then((settled) => {
          this.#rules.awaiting(false);
          this.#lastMs = this.#rules.clock.monotonicMs();
          return this.#end(settled) ?? this.run(entries, at + 1);
        });
      }
      this.#noteBlocking(entry);
      const batch = this.#end(stop);
      if (batch !== undefined) return batch;
    }
    return this.#batch({ kind: 'end' });
  }

  /** The batch, if it ends behind the entry just decided. */
  #end(stop: Stop | undefined): Batch | undefined {
    if (stop !== undefined) return this.#batch(stop);
    const isTimeUp = this.#lastMs - this.#startedMs >= this.#rules.batchMs;
    return isTimeUp ? this.#batch({ kind: 'commit' }) : undefined;
  }

  /** Nothing else ran in this process since the entry before it. */
  #noteBlocking({ jobId }: LaneEntry): void {
    const { clock, leaseMs, blockers } = this.#rules;
    const nowMs = clock.monotonicMs();
    const tookMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (tookMs < leaseMs) return;
    if (blockers.size >= BLOCKERS_MAX) blockers.clear();
    blockers.set(jobId, { times: (blockers.get(jobId)?.times ?? 0) + 1, tookMs });
  }

  #batch(stop: Stop): Batch {
    return {
      value: this.#value,
      watermark: this.#watermark,
      decisions: this.#decisions,
      settlements: this.#settlements,
      decided: this.#decided,
      applied: this.#applied,
      expireMs: this.#expireMs,
      stop,
    };
  }

  /** Decides one entry (undefined), or says why the batch stops before or behind it. */
  #step(entry: LaneEntry): Stop | undefined | Promise<Stop | undefined> {
    if (entry.sequence <= this.#start.watermark) return this.#decideApplied(entry, '');
    if (entry.finished === 'completed') return this.#decideAs(entry, 's');
    const update = this.#rules.registry.find(entry.name);
    if (entry.finished === 'failed' && update !== undefined)
      return this.#exhaust(entry, update, new Error(entry.failedReason));
    if (entry.directive === 'skip') return this.#decideAs(entry, 'm');
    if (entry.directive === 'drop') return this.#decideFailed(entry, dropped(), false);
    if (entry.sequence <= this.#start.cascadeTo)
      return this.#decideFailed(entry, cascaded(), false);
    if (update === undefined)
      return { kind: 'unknown-update', jobId: entry.jobId, name: entry.name };
    if (entry.directive === 'held')
      return this.#exhaust(entry, update, new Error(entry.failedReason));

    const triedBefore =
      entry.attemptsMade > 0 || entry.stalls > 0 || this.#rules.suspects.has(entry.jobId);
    if (
      (triedBefore || this.#rules.onlyDelivered()) &&
      this.#rules.arrivalOf(entry.jobId) === undefined
    ) {
      return needsDelivery(entry);
    }
    const tooLarge = this.#rules.overweight.get(entry.jobId);
    if (tooLarge !== undefined) return this.#charge(entry, update, tooLarge);
    const blocked = this.#rules.blockers.get(entry.jobId);
    if (blocked !== undefined && blocked.times >= BLOCKED_TIMES_MAX)
      return this.#giveUpOn(entry, update, blocked.tookMs);
    if (entry.stalls > 0) return this.#applyAlone(entry, update);
    return this.#apply(entry, update);
  }

  #giveUpOn(entry: LaneEntry, update: AnyUpdate, tookMs: number): Stop | undefined {
    const { blockers, arrivalOf, leaseMs } = this.#rules;
    // With its next attempt it begins anew.
    if (arrivalOf(entry.jobId) !== undefined) blockers.delete(entry.jobId);
    return this.#charge(entry, update, blockedTooLong(update, tookMs, leaseMs));
  }

  /** It may kill the process once more: then nobody else's job must go down with it. */
  async #applyAlone(entry: LaneEntry, update: AnyUpdate): Promise<Stop | undefined> {
    if (this.#decided > 0) return { kind: 'commit' };
    const starts = await this.#rules.startAlone(entry.jobId);
    if (starts > this.#rules.stallsMax)
      return this.#exhaust(entry, update, stalledTooOften(entry, starts - 1));
    return (await this.#apply(entry, update)) ?? { kind: 'commit' };
  }

  #apply(entry: LaneEntry, update: AnyUpdate): Stop | undefined | Promise<Stop | undefined> {
    let applied: MaybeApplied | Promise<MaybeApplied>;
    try {
      applied = this.#call(entry, update, this.#value);
    } catch (thrown) {
      return this.#fail(entry, update, errorOf(thrown, update.name));
    }
    if (!(applied instanceof Promise)) return this.#keep(entry, update, applied);
    return applied.then(
      (settled) =>
        this.#rules.leaseHeld() ? this.#keep(entry, update, settled) : { kind: 'lost' },
      (thrown: unknown) =>
        this.#rules.leaseHeld()
          ? this.#fail(entry, update, errorOf(thrown, update.name))
          : { kind: 'lost' },
    );
  }

  #call(entry: LaneEntry, update: AnyUpdate, value: unknown): MaybeApplied | Promise<MaybeApplied> {
    const data = validated(update, JSON.parse(entry.data));
    return data instanceof Promise
      ? data.then((settled) => this.#callWith(entry, update, value, settled))
      : this.#callWith(entry, update, value, data);
  }

  #callWith(
    entry: LaneEntry,
    update: AnyUpdate,
    value: unknown,
    data: unknown,
  ): MaybeApplied | Promise<MaybeApplied> {
    const { key, clock, leaseSignal } = this.#rules;
    if (update.key(data) !== key) return undefined;
    const { jobId, sequence, attemptsMade } = entry;
    const facts = { key, jobId, sequence, attempt: attemptsMade + 1, token: this.#start.token };
    return applyUpdate(update, value, data, facts, leaseSignal, clock);
  }

  #keep(entry: LaneEntry, update: AnyUpdate, applied: MaybeApplied): undefined {
    if (applied === undefined) return this.#decideAs(entry, 's');
    this.#value = applied.value;
    this.#applied += 1;
    this.#expireMs = (update.expireSeconds ?? 0) * 1000;
    // It acts on the outside world, and must not be called again only to make a value.
    if (update.strict) this.#setCheckpoint();
    else this.#sinceCheckpoint.push({ update, entry });
    return this.#decideApplied(entry, applied.result);
  }

  /** The update threw. The value may be half changed, so it is made again from the checkpoint. */
  #fail(
    entry: LaneEntry,
    update: AnyUpdate,
    thrown: Error,
  ): Stop | undefined | Promise<Stop | undefined> {
    const made = isUnchangeable(this.#value) ? undefined : this.#remake();
    const go = (): Stop | undefined => this.#charge(entry, update, thrown);
    return made instanceof Promise ? made.then(go) : go();
  }

  #charge(entry: LaneEntry, update: AnyUpdate, thrown: Error): Stop | undefined {
    const arrival = this.#rules.arrivalOf(entry.jobId);
    if (arrival === undefined) {
      this.#rules.suspects.add(entry.jobId); // only its own delivery may be charged
      return needsDelivery(entry);
    }
    if (isFinal(thrown) || arrival.isLastAttempt(thrown))
      return this.#exhaust(entry, update, thrown);
    this.#settlements.set(entry.jobId, { kind: 'retry', thrown });
    // It enters anew, at the end, when it is delivered for its retry: until then it is in nobody's way.
    if (update.onFailure === 'skip') return this.#decideAs(entry, 's');
    return needsDelivery(entry);
  }

  #exhaust(entry: LaneEntry, update: AnyUpdate | undefined, thrown: Error): Stop | undefined {
    const onExhausted = update?.onExhausted ?? 'continue';
    if (onExhausted === 'hold') {
      this.#settlements.set(entry.jobId, { kind: 'held', thrown });
      // The next holder must not try it again before BullMQ has heard that it failed.
      const isReported =
        entry.finished === 'no' && this.#rules.arrivalOf(entry.jobId) !== undefined;
      const message = messageOf(thrown).slice(0, MESSAGE_MAX);
      if (isReported) this.#decisions.set(entry.jobId, encodeDecision({ kind: 'held', message }));
      return { kind: 'held', jobId: entry.jobId, reason: thrown.message };
    }
    this.#decideFailed(entry, thrown, onExhausted === 'cascade');
    return onExhausted === 'cascade' ? { kind: 'commit' } : undefined;
  }

  #decideApplied(entry: LaneEntry, result: string): undefined {
    if (result !== '') this.#decisions.set(entry.jobId, PLAIN_APPLIED + result);
    this.#settlements.set(entry.jobId, { kind: 'decided', outcome: { kind: 'applied', result } });
    this.#pass(entry);
  }

  #decideFailed(entry: LaneEntry, thrown: Error, cascades: boolean): undefined {
    const code = thrown instanceof TorilError ? thrown.code : thrown.name;
    const outcome: JobOutcome = {
      kind: 'failed',
      code,
      message: messageOf(thrown).slice(0, MESSAGE_MAX),
      cascades,
    };
    this.#decisions.set(entry.jobId, encodeDecision(outcome));
    this.#settlements.set(entry.jobId, { kind: 'decided', outcome, thrown });
    this.#pass(entry);
  }

  #decideAs(entry: LaneEntry, decision: 's' | 'm'): undefined {
    this.#decisions.set(entry.jobId, decision);
    this.#pass(entry);
  }

  #pass(entry: LaneEntry): void {
    this.#watermark = Math.max(this.#watermark, entry.sequence);
    this.#decided += 1;
  }

  /** From here on the value as it is now can be made again. */
  #setCheckpoint(): void {
    const json = this.#value === undefined ? undefined : JSON.stringify(this.#value);
    this.#checkpoint = () => (json === undefined ? undefined : JSON.parse(json));
    this.#sinceCheckpoint = [];
  }

  #remake(): void | Promise<void> {
    this.#value = this.#checkpoint();
    for (const [index, { update, entry }] of this.#sinceCheckpoint.entries()) {
      const applied = this.#call(entry, update, this.#value);
      if (applied instanceof Promise) return this.#remakeFrom(index, applied);
      this.#value = applied?.value;
    }
  }

  async #remakeFrom(index: number, first: Promise<MaybeApplied>): Promise<void> {
    this.#value = (await first)?.value;
    for (const { update, entry } of this.#sinceCheckpoint.slice(index + 1)) {
      this.#value = (await this.#call(entry, update, this.#value))?.value;
    }
  }
}

function needsDelivery({ jobId }: LaneEntry): Stop {
  return { kind: 'delivery', jobId };
}

function dropped(): TorilError {
  return new TorilError(
    'JOB_DROPPED',
    'an operator dropped this job from its lane; it was not applied.',
  );
}

function cascaded(): TorilError {
  return new TorilError(
    'JOB_CASCADED',
    'an earlier job of the same key failed for good, and its update cascades; this job was not applied.',
  );
}

function blockedTooLong({ name }: AnyUpdate, tookMs: number, leaseMs: number): TorilError {
  return new TorilError(
    'UPDATE_TIMED_OUT',
    `the update "${name}" blocked its process for ${Math.round(tookMs)} ms, and nothing that takes longer than the lease (${leaseMs} ms) can be committed. Make it faster or asynchronous, or raise leaseMs.`,
  );
}

function stalledTooOften(entry: LaneEntry, times: number): TorilError {
  return new TorilError(
    'JOB_STALLED_TOO_OFTEN',
    `the process died or froze ${times} times while it applied only this job (${entry.name}). Find out what it does to the process; then retry it.`,
  );
}
