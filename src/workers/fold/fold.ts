/**
 * Applies the head of a lane to a value, in order, in memory. What comes out is a batch that may be
 * committed; nothing has happened until it is. Every entry is either decided (applied, failed for
 * good, moved, withdrawn) or the batch stops before it: no entry is ever left out.
 *
 *   decide      an operator, BullMQ or an earlier job has decided it; or it must wait; or it is applied
 *   apply       the update is called
 *   keep, fail  it returned a value; it threw, and the value is made again
 *   charge      whether its job has attempts left
 *   exhaust     what becomes of the lane if it has none
 */
import type { AppliedUpdate } from '../../updates/calling/apply.ts';
import type { Arrival } from '../deliveries/arrival.ts';
import { isUnchangeable } from '../../updates/values/frozen-value.ts';
import { writtenAndRead } from '../../updates/values/json-value.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import { cannotMoveJob, controlOf, errorOf } from '../../updates/calling/thrown.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import type { Batch, FoldStart, FoldTurn, Stop } from './batch.ts';
import {
  blockedTooLong,
  cascaded,
  dropped,
  isFinal,
  otherKind,
  stalledTooOften,
} from './fold-errors.ts';
import { GrowingBatch, type Verdict } from './growing-batch.ts';
import { waitForLastWord } from './last-word.ts';
import { NOT_BEGUN, UpdateCalls } from './update-calls.ts';
import { ReplayableValue } from './replayable-value.ts';

/** Of an item: many results in one batch must not crowd out the value, or the batch would be folded again and again. */
const NAMES_SHARE = 1 / 4;

const COMMIT: Stop = { kind: 'commit' };
const JOINT: Stop = { kind: 'joint' };
const AGAIN: Stop = { kind: 'again' };
const CLOSING: Stop = { kind: 'closing' };

/** A promise only if an update, or a schema, is asynchronous: most are not, and promises cost. */
export function fold(
  turn: FoldTurn,
  start: FoldStart,
  entries: readonly LaneEntry[],
): Batch | Promise<Batch> {
  return new Folding(turn, start).run(entries, 0);
}

class Folding {
  readonly #start: FoldStart;
  readonly #turn: FoldTurn;
  readonly #calls: UpdateCalls;
  readonly #work: ReplayableValue;
  readonly #batch: GrowingBatch;
  readonly #startedMs: number;
  /** Characters of names after which a batch ends. */
  readonly #namesMax: number;

  constructor(turn: FoldTurn, start: FoldStart) {
    const { facts } = turn.server;
    this.#start = start;
    this.#turn = turn;
    this.#calls = new UpdateCalls(turn, start.token);
    this.#startedMs = this.#calls.lastMs;
    this.#work = new ReplayableValue(start.fresh);
    this.#batch = new GrowingBatch(start.watermark);
    this.#namesMax = (facts?.itemSizeMax ?? Number.POSITIVE_INFINITY) * NAMES_SHARE;
  }

  /** Decides the entries from the one at `from` on. */
  run(entries: readonly LaneEntry[], from: number): Batch | Promise<Batch> {
    const turn = this.#turn;
    // Here is enough: it can begin only at the start, or while an update was waited for.
    if (from < entries.length && turn.closing()) return this.#ended(CLOSING);
    for (let at = from; at < entries.length; at++) {
      const entry = entries[at] as LaneEntry;
      turn.beginApply(entries, at + 1);
      const verdict = this.#decideOrAbandon(entry);
      if (verdict instanceof Promise) {
        turn.awaitingSinceMs = turn.context.clock.monotonicMs();
        return verdict.then((settled) => {
          turn.awaitingSinceMs = undefined;
          this.#calls.restart();
          const stop = this.#stopBehind(settled);
          return stop === undefined ? this.run(entries, at + 1) : this.#ended(stop);
        });
      }
      this.#calls.passed(entry.jobId);
      const stop = this.#stopBehind(verdict);
      if (stop !== undefined) return this.#ended(stop);
    }
    return this.#ended({ kind: 'end' });
  }

  /** Why the batch ends with the entry just decided; undefined: it does not. */
  #stopBehind(verdict: Verdict): Stop | undefined {
    if (verdict.kind !== 'decided') return verdict;
    const isTimeUp = this.#calls.lastMs - this.#startedMs >= this.#turn.context.options.batchMs;
    const isFull = this.#batch.namesSize > this.#namesMax;
    return isTimeUp || isFull ? COMMIT : undefined;
  }

  #ended(stop: Stop): Batch {
    return this.#batch.ended(this.#work.value, stop);
  }

  #decideOrAbandon(entry: LaneEntry): Verdict | Promise<Verdict> {
    try {
      return this.#decide(entry);
    } catch (thrown) {
      this.#calls.abandon();
      throw thrown;
    }
  }

  #decide(entry: LaneEntry): Verdict | Promise<Verdict> {
    const batch = this.#batch;
    // Before all else: nothing may become of a job of several keys in one of its lanes alone.
    if (entry.keys !== undefined && this.#turn.isJoint !== true) return JOINT;
    // BullMQ has finished it: it was applied in another lane, or somebody else completed it.
    if (entry.finished === 'completed') return batch.withdrawn(entry);
    if (entry.finished === 'unapplied') return batch.passedOver(entry);
    const update = this.#turn.context.registry.find(entry.name);
    if (entry.finished === 'failed' && update !== undefined)
      return this.#exhaust(entry, update, new Error(entry.failedReason));
    if (entry.directive === 'skip') return batch.moved(entry);
    if (entry.directive === 'drop') return batch.failed(entry, dropped(), false);
    if (entry.sequence <= this.#start.cascadeTo) return batch.failed(entry, cascaded(), false);
    if (update === undefined)
      return { kind: 'unknown-update', jobId: entry.jobId, name: entry.name };
    if (entry.directive === 'held')
      return this.#exhaust(entry, update, new Error(entry.failedReason));

    const { memory, arrivals } = this.#turn;
    const { isFirst, tooLarge } = memory.of(entry.jobId);
    const triedBefore = entry.attemptsMade > 0 || entry.stalls > 0 || entry.directive === 'deliver';
    if ((triedBefore || this.#turn.onlyDelivered()) && arrivals.get(entry.jobId) === undefined) {
      return needsDelivery(entry);
    }
    const refused = tooLarge ?? memory.worker.cancellations.errorFor(entry.jobId);
    if (refused !== undefined) return this.#charge(entry, update, refused);
    if ((update.keys === undefined) !== (entry.keys === undefined))
      return this.#charge(entry, update, otherKind(entry, update));
    const blockedMs = memory.worker.overruns.givenUp(entry.jobId);
    if (blockedMs !== undefined) return this.#giveUpOn(entry, update, blockedMs);
    if (isFirst === true && batch.decided > 0) return COMMIT;
    if (entry.stalls > 0) return this.#applyAlone(entry, update);
    return this.#apply(entry, update);
  }

  #giveUpOn(entry: LaneEntry, update: AnyUpdate, tookMs: number): Verdict {
    const { memory, arrivals, lease } = this.#turn;
    // With its next attempt it starts over.
    if (arrivals.get(entry.jobId) !== undefined) memory.worker.overruns.forget(entry.jobId);
    return this.#charge(entry, update, blockedTooLong(update, tookMs, lease.durationMs));
  }

  /** It may kill the process once more: then nobody else's job must go down with it. */
  async #applyAlone(entry: LaneEntry, update: AnyUpdate): Promise<Verdict> {
    const { memory, context } = this.#turn;
    if (this.#batch.decided > 0) return COMMIT;
    const { jobId } = entry;
    const { token } = this.#start;
    const survived = memory.worker.isolatedStarts.begin(jobId, token);
    this.#turn.begunAlone = jobId;
    const { stallsMax } = context.options;
    let starts = await context.lanes.startAlone(jobId, token, survived, stallsMax);
    memory.worker.isolatedStarts.told(jobId, token);
    if (starts > 1 && starts > stallsMax) {
      if (!(await waitForLastWord(this.#turn))) return { kind: 'lost' };
      starts = await context.lanes.startAlone(jobId, token, survived, stallsMax);
    }
    this.#calls.restart();
    if (this.#turn.closing()) return CLOSING;
    if (starts > stallsMax) return this.#exhaust(entry, update, stalledTooOften(entry, starts - 1));
    const verdict = await this.#apply(entry, update);
    return verdict.kind === 'decided' ? COMMIT : verdict;
  }

  #apply(entry: LaneEntry, update: AnyUpdate): Verdict | Promise<Verdict> {
    if (this.#calls.isTooLate(update)) return { kind: 'lost' };
    const value = this.#work.handOut();
    if (!this.#calls.mayBegin(entry.jobId)) return this.#batch.decided > 0 ? COMMIT : AGAIN;
    let applied: AppliedUpdate | Promise<AppliedUpdate>;
    try {
      applied = this.#calls.call(entry, update, value);
    } catch (thrown) {
      return this.#fail(entry, update, errorOf(thrown, update.name));
    }
    if (!(applied instanceof Promise)) return this.#keep(entry, update, applied);
    this.#calls.pending();
    return applied.then(
      (settled) => this.#settled(entry, () => this.#keep(entry, update, settled)),
      (thrown: unknown) =>
        this.#settled(entry, () => {
          if (thrown === NOT_BEGUN) return CLOSING;
          return this.#fail(entry, update, errorOf(thrown, update.name));
        }),
    );
  }

  /** An asynchronous update has settled; nothing of it counts if the lease was lost meanwhile. */
  #settled({ jobId }: LaneEntry, go: () => Verdict | Promise<Verdict>): Verdict | Promise<Verdict> {
    this.#calls.settled(jobId);
    return this.#turn.lease.trustLeftMs() > 0 ? go() : { kind: 'lost' };
  }

  #keep(entry: LaneEntry, update: AnyUpdate, applied: AppliedUpdate): Verdict | Promise<Verdict> {
    if (this.#turn.memory.distrustsValues) {
      try {
        applied = { ...applied, value: writtenAndRead(applied.value, update) };
      } catch (thrown) {
        return this.#fail(entry, update, errorOf(thrown, update.name));
      }
    }
    this.#work.become(applied.value, entry, !update.strict);
    return this.#batch.applied(entry, applied.result, (update.expireSeconds ?? 0) * 1000);
  }

  /** The update threw. The value may be half changed, so it is made again. */
  #fail(entry: LaneEntry, update: AnyUpdate, thrown: Error): Verdict | Promise<Verdict> {
    let remade: void | Promise<void>;
    try {
      remade = this.#remake();
    } catch {
      return this.#beginWith(entry);
    }
    const go = (): Verdict => this.#charge(entry, update, thrown);
    return remade instanceof Promise ? remade.then(go, () => this.#beginWith(entry)) : go();
  }

  #remake(): void | Promise<void> {
    if (isUnchangeable(this.#work.value)) return;
    const { registry } = this.#turn.context;
    return this.#work.remake((before, value) =>
      this.#calls.repeat(before, registry.find(before.name) as AnyUpdate, value),
    );
  }

  /** An update that had succeeded failed when it was called again for its value: that must not be needed. */
  #beginWith({ jobId }: LaneEntry): Stop {
    this.#turn.memory.note(jobId, { isFirst: true });
    return AGAIN;
  }

  #charge(entry: LaneEntry, update: AnyUpdate, thrown: Error): Verdict {
    const arrival = this.#turn.arrivals.get(entry.jobId);
    if (arrival === undefined) {
      // Only its own delivery may be charged. Nobody else calls it again: without this mark, visitors of its lanes did so 606 times.
      this.#turn.context.lanes.direct(entry.jobId, 'deliver').catch(() => undefined);
      return needsDelivery(entry);
    }
    if (this.#isOutdated(entry, arrival)) {
      this.#turn.memory.note(entry.jobId, { isOutdated: true });
      return AGAIN;
    }
    const control = controlOf(thrown);
    if (control === 'rate-limit') {
      this.#batch.tell(entry, { kind: 'limited' });
      return needsDelivery(entry);
    }
    if (control === 'moved')
      return this.#exhaust(entry, update, cannotMoveJob(thrown, update.name));
    if (isFinal(thrown) || arrival.isLastAttempt(thrown))
      return this.#exhaust(entry, update, thrown);
    this.#batch.tell(entry, { kind: 'retry', thrown });
    // It enters again, at the end, when it is delivered for its retry. Until then it blocks no other job.
    if (update.onFailure === 'skip') return this.#batch.withdrawn(entry);
    return needsDelivery(entry);
  }

  /**
   * It was taken before it was delivered for the attempt that it has by now: its last attempt failed elsewhere, and Redis
   * had not heard of it. That attempt is charged already (found by the chaos: 3 attempts used of 2). Once per job, as a
   * stock client may have changed the number.
   */
  #isOutdated({ jobId, attemptsMade }: LaneEntry, arrival: Arrival): boolean {
    if ((arrival.attemptsMade ?? 0) <= attemptsMade) return false;
    return this.#turn.memory.of(jobId).isOutdated !== true;
  }

  #exhaust(entry: LaneEntry, { onExhausted }: AnyUpdate, thrown: Error): Verdict {
    if (onExhausted === 'hold') {
      const isDelivered = this.#turn.arrivals.get(entry.jobId) !== undefined;
      return this.#batch.held(entry, thrown, entry.finished === 'no' && isDelivered);
    }
    const cascades = onExhausted === 'cascade';
    const verdict = this.#batch.failed(entry, thrown, cascades);
    return cascades ? COMMIT : verdict;
  }
}

function needsDelivery({ jobId }: LaneEntry): Stop {
  return { kind: 'delivery', jobId };
}
