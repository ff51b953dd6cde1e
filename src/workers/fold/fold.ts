/**
 * Applies the head of a lane to a value, in order, in memory. What comes out is a batch that may be
 * committed; nothing has happened until it is. Every entry is either decided (applied, failed for
 * good, moved, stray) or the batch stops before it: no entry is ever passed over.
 */
import { messageOf } from '../../errors.ts';
import type { AppliedUpdate } from '../../updates/apply.ts';
import { isUnchangeable } from '../../updates/frozen-value.ts';
import { writtenAndRead } from '../../updates/json-value.ts';
import type { LaneEntry } from '../../jobs/lanes.ts';
import { encodeDecision, PLAIN_APPLIED, type JobOutcome } from '../../updates/outcome.ts';
import { cannotMoveJob, codeOf, controlOf, errorOf } from '../../updates/thrown.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import type { Settlement } from '../deliveries/arrival.ts';
import type { Batch, FoldRules, FoldStart, Stop } from './batch.ts';
import { blockedTooLong, cascaded, dropped, isFinal, stalledTooOften } from './fold-errors.ts';
import { NOT_BEGUN, UpdateCalls } from './update-calls.ts';
import { Workpiece } from './workpiece.ts';

/** Characters of a failure's message that travel with its decision; BullMQ gets the whole. */
const MESSAGE_MAX = 500;
/** Nearly every job ends so. */
const APPLIED: Settlement = { kind: 'decided', outcome: { kind: 'applied', result: '' } };
const NONE_NAMED: ReadonlyMap<string, string> = new Map();
const NOBODY: readonly string[] = [];

/** A promise only if an update, or a schema, is asynchronous: most are not, and promises cost. */
export function fold(
  start: FoldStart,
  entries: readonly LaneEntry[],
  rules: FoldRules,
): Batch | Promise<Batch> {
  return new Folding(start, rules).run(entries, 0);
}

class Folding {
  readonly #start: FoldStart;
  readonly #rules: FoldRules;
  readonly #calls: UpdateCalls;
  readonly #work: Workpiece;
  readonly #settlements = new Map<string, Settlement>();
  #decisions: Map<string, string> | undefined;
  #unapplied: string[] | undefined;
  readonly #startedMs: number;
  #watermark: number;
  #decided = 0;
  /** Characters of results, and of ids that the commit must name. */
  #namesSize = 0;
  #applied = 0;
  #expireMs: number | undefined;

  constructor(start: FoldStart, rules: FoldRules) {
    this.#start = start;
    this.#rules = rules;
    this.#calls = new UpdateCalls(rules, start.token);
    this.#startedMs = this.#calls.lastMs;
    this.#work = new Workpiece(start.fresh);
    this.#watermark = start.watermark;
  }

  /** Decides the entries from the one at `from` on. */
  run(entries: readonly LaneEntry[], from: number): Batch | Promise<Batch> {
    const { clock, memory } = this.#rules;
    // Here is enough: it can begin only at the start, or while an update was waited for.
    if (from < entries.length && this.#rules.closing()) return this.#batch({ kind: 'closing' });
    for (let at = from; at < entries.length; at++) {
      const entry = entries[at] as LaneEntry;
      memory.takeInHand(entries, at + 1);
      const stop = this.#stepOrAbandon(entry);
      if (stop instanceof Promise) {
        memory.awaitingSinceMs = clock.monotonicMs();
        return stop.then((settled) => {
          memory.awaitingSinceMs = undefined;
          this.#calls.restart();
          return this.#end(settled) ?? this.run(entries, at + 1);
        });
      }
      this.#calls.passed(entry.jobId);
      const batch = this.#end(stop);
      if (batch !== undefined) return batch;
    }
    return this.#batch({ kind: 'end' });
  }

  /** The batch, if it ends behind the entry just decided. */
  #end(stop: Stop | undefined): Batch | undefined {
    if (stop !== undefined) return this.#batch(stop);
    const isTimeUp = this.#calls.lastMs - this.#startedMs >= this.#rules.options.batchMs;
    const isFull = this.#namesSize > (this.#rules.resultsMax ?? Number.POSITIVE_INFINITY);
    return isTimeUp || isFull ? this.#batch({ kind: 'commit' }) : undefined;
  }

  #batch(stop: Stop): Batch {
    return {
      value: this.#work.value,
      watermark: this.#watermark,
      decisions: this.#decisions ?? NONE_NAMED,
      unapplied: this.#unapplied ?? NOBODY,
      settlements: this.#settlements,
      decided: this.#decided,
      applied: this.#applied,
      expireMs: this.#expireMs,
      stop,
    };
  }

  #stepOrAbandon(entry: LaneEntry): Stop | undefined | Promise<Stop | undefined> {
    try {
      return this.#step(entry);
    } catch (thrown) {
      this.#calls.abandon();
      throw thrown;
    }
  }

  /** Decides one entry (undefined), or says why the batch stops before or behind it. */
  #step(entry: LaneEntry): Stop | undefined | Promise<Stop | undefined> {
    if (entry.finished === 'completed') return this.#decideAs(entry, 's');
    if (entry.finished === 'unapplied') return this.#passOver(entry);
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

    const { memory } = this.#rules;
    const { isSuspect, isFirst, tooLarge } = memory.of(entry.jobId);
    const triedBefore = entry.attemptsMade > 0 || entry.stalls > 0 || isSuspect === true;
    if (
      (triedBefore || this.#rules.onlyDelivered()) &&
      this.#rules.arrivalOf(entry.jobId) === undefined
    ) {
      return needsDelivery(entry);
    }
    const refused = tooLarge ?? memory.cancellations.errorFor(entry.jobId);
    if (refused !== undefined) return this.#charge(entry, update, refused);
    const blockedMs = memory.blockers.givenUp(entry.jobId);
    if (blockedMs !== undefined) return this.#giveUpOn(entry, update, blockedMs);
    if (isFirst === true && this.#decided > 0) return { kind: 'commit' };
    if (entry.stalls > 0) return this.#applyAlone(entry, update);
    return this.#apply(entry, update);
  }

  #giveUpOn(entry: LaneEntry, update: AnyUpdate, tookMs: number): Stop | undefined {
    const { memory, leaseMs } = this.#rules;
    // With its next attempt it begins anew.
    if (this.#rules.arrivalOf(entry.jobId) !== undefined) memory.blockers.forget(entry.jobId);
    return this.#charge(entry, update, blockedTooLong(update, tookMs, leaseMs));
  }

  /** It may kill the process once more: then nobody else's job must go down with it. */
  async #applyAlone(entry: LaneEntry, update: AnyUpdate): Promise<Stop | undefined> {
    if (this.#decided > 0) return { kind: 'commit' };
    const starts = await this.#rules.startAlone(entry.jobId);
    this.#calls.restart();
    if (starts > this.#rules.options.stallsMax)
      return this.#exhaust(entry, update, stalledTooOften(entry, starts - 1));
    if (this.#rules.closing()) return { kind: 'closing' };
    return (await this.#apply(entry, update)) ?? { kind: 'commit' };
  }

  #apply(entry: LaneEntry, update: AnyUpdate): Stop | undefined | Promise<Stop | undefined> {
    const value = this.#work.handOut();
    if (!this.#calls.mayBegin(entry.jobId)) return { kind: this.#decided > 0 ? 'commit' : 'again' };
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
        this.#settled(entry, (): Stop | undefined | Promise<Stop | undefined> => {
          if (thrown === NOT_BEGUN) return { kind: 'closing' };
          return this.#fail(entry, update, errorOf(thrown, update.name));
        }),
    );
  }

  /** An asynchronous update has settled; nothing of it counts if the lease was lost meanwhile. */
  #settled<T>({ jobId }: LaneEntry, go: () => T): T | Stop {
    this.#calls.settled(jobId);
    return this.#rules.leaseHeld() ? go() : { kind: 'lost' };
  }

  #keep(
    entry: LaneEntry,
    update: AnyUpdate,
    applied: AppliedUpdate,
  ): Stop | undefined | Promise<Stop | undefined> {
    if (this.#rules.memory.distrustsValues) {
      try {
        applied = { ...applied, value: writtenAndRead(applied.value, update.name) };
      } catch (thrown) {
        return this.#fail(entry, update, errorOf(thrown, update.name));
      }
    }
    this.#work.become(applied.value, entry, !update.strict);
    this.#applied += 1;
    this.#expireMs = (update.expireSeconds ?? 0) * 1000;
    return this.#decideApplied(entry, applied.result);
  }

  /** The update threw. The value may be half changed, so it is made again. */
  #fail(
    entry: LaneEntry,
    update: AnyUpdate,
    thrown: Error,
  ): Stop | undefined | Promise<Stop | undefined> {
    let remade: void | Promise<void>;
    try {
      remade = this.#remake();
    } catch {
      return this.#beginWith(entry);
    }
    const go = (): Stop | undefined => this.#charge(entry, update, thrown);
    return remade instanceof Promise ? remade.then(go, () => this.#beginWith(entry)) : go();
  }

  #remake(): void | Promise<void> {
    const made = isUnchangeable(this.#work.value)
      ? undefined
      : this.#work.remake((before, value) =>
          this.#calls.repeat(before, this.#rules.registry.find(before.name) as AnyUpdate, value),
        );
    return made;
  }

  /** An update that had succeeded failed when it was called again for its value: that must not be needed. */
  #beginWith({ jobId }: LaneEntry): Stop {
    this.#rules.memory.note(jobId, { isFirst: true });
    return { kind: 'again' };
  }

  #charge(entry: LaneEntry, update: AnyUpdate, thrown: Error): Stop | undefined {
    const arrival = this.#rules.arrivalOf(entry.jobId);
    if (arrival === undefined) {
      this.#rules.memory.note(entry.jobId, { isSuspect: true }); // only its own delivery may be charged
      return needsDelivery(entry);
    }
    const control = controlOf(thrown);
    if (control === 'rate-limit') {
      this.#settlements.set(entry.jobId, { kind: 'limited' });
      return needsDelivery(entry);
    }
    if (control === 'moved')
      return this.#exhaust(entry, update, cannotMoveJob(thrown, update.name));
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
      if (isReported) this.#name(entry, encodeDecision({ kind: 'held', message }));
      return { kind: 'held', jobId: entry.jobId, reason: message };
    }
    this.#decideFailed(entry, thrown, onExhausted === 'cascade');
    return onExhausted === 'cascade' ? { kind: 'commit' } : undefined;
  }

  #decideApplied(entry: LaneEntry, result: string): undefined {
    if (result === '') {
      this.#settlements.set(entry.jobId, APPLIED);
    } else {
      this.#namesSize += result.length;
      this.#name(entry, PLAIN_APPLIED + result);
      this.#settlements.set(entry.jobId, { kind: 'decided', outcome: { kind: 'applied', result } });
    }
    this.#pass(entry);
  }

  #decideFailed(entry: LaneEntry, thrown: Error, cascades: boolean): undefined {
    const code = codeOf(thrown);
    const outcome: JobOutcome = {
      kind: 'failed',
      code,
      message: messageOf(thrown).slice(0, MESSAGE_MAX),
      cascades,
    };
    this.#name(entry, encodeDecision(outcome));
    this.#settlements.set(entry.jobId, { kind: 'decided', outcome, thrown });
    this.#pass(entry);
  }

  /** Applied now, it would be in the value behind the back of whoever was told that it is completed. */
  #passOver(entry: LaneEntry): undefined {
    this.#unapplied ??= [];
    this.#unapplied.push(entry.jobId);
    this.#decideAs(entry, 's');
  }

  #decideAs(entry: LaneEntry, decision: 's' | 'm'): undefined {
    this.#name(entry, decision);
    this.#pass(entry);
  }

  #pass(entry: LaneEntry): void {
    this.#watermark = Math.max(this.#watermark, entry.sequence);
    this.#decided += 1;
    if (entry.late === true) this.#namesSize += entry.jobId.length;
  }

  #name({ jobId }: LaneEntry, decision: string): void {
    this.#decisions ??= new Map();
    this.#decisions.set(jobId, decision);
  }
}

function needsDelivery({ jobId }: LaneEntry): Stop {
  return { kind: 'delivery', jobId };
}
