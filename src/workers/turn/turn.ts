/**
 * One turn at the gate: from the acquired lease to its release. Each batch goes the same way, and
 * wherever the process dies, freezes or gets an answer late, the next holder finds out:
 *
 *   take        Redis      dies here: nothing happened
 *   fold        in memory  dies here: nothing happened
 *   commit      memcached  dies here: the cell is ahead of the copy; the next holder acknowledges it
 *   acknowledge Redis      dies here: the jobs' outcomes wait in their hashes
 *   settle      in memory  BullMQ completes the jobs, or delivers them again, and they find their outcome
 */
import { believe, strangers, type Viewpoint } from '../../cells/believe.ts';
import { cellItemOf, type Envelope } from '../../cells/envelope.ts';
import { decodeSequences } from '../../cells/sequences.ts';
import { TorilError } from '../../errors.ts';
import type { Acknowledgement, Taken, TakeRequest } from '../../jobs/lanes.ts';
import { decodeOutcome } from '../../updates/outcome.ts';
import type { Lease } from '../../lock/lock.ts';
import type { Item, MemcachedServer, Outcome } from '../../memcached/server.ts';
import type { Arrivals } from '../deliveries/arrivals.ts';
import { type Batch, isStrict, type Stop } from '../fold/batch.ts';
import {
  type Fit,
  type FittingBatch,
  foldToFit,
  lateOf,
  unchangedTooLarge,
} from '../fold/fitting.ts';
import type { GateContext } from '../gate-context.ts';
import { noteOf, noteOfRecovered } from '../fold/history-notes.ts';
import type { KeyMemory } from '../key-memory.ts';
import { committedCell, type KnownCell, knownCell, NO_CELL } from './known-cell.ts';
import { putRight } from './putting-right.ts';
import type { SeenDataSets } from '../seen-data-sets.ts';
import { startFrom } from './starting.ts';
import { closeToOlderHolders } from './strict-turn.ts';
import { TurnRules } from './turn-rules.ts';
import { UnfaithfulValue } from '../fold/workpiece.ts';

/** How a turn ended, and so what the combiner does next. */
export type TurnEnd =
  /** The lane is empty. */
  | { readonly kind: 'idle' }
  /** More jobs wait, but somebody else may want the lease. */
  | { readonly kind: 'more' }
  /** Somebody or something came in between: start again from the beginning. */
  | { readonly kind: 'again' }
  /** The lane's head cannot be decided now; look again in a while. */
  | { readonly kind: 'blocked'; readonly delayMs: number }
  /** A server is out of reach. */
  | { readonly kind: 'unavailable'; readonly cause: TorilError };

/** Milliseconds between two looks at a head that waits for its delivery, if BullMQ does not say when. */
const DELIVERY_WAIT_MS = 250;
const AGAIN: TurnEnd = { kind: 'again' };

export interface TurnInput {
  readonly context: GateContext;
  readonly key: string;
  readonly server: MemcachedServer;
  readonly cellName: string;
  readonly lease: Lease;
  /** What was read in the same write as the lock was acquired. */
  readonly cell: Outcome<Item>;
  readonly arrivals: Arrivals;
  readonly memory: KeyMemory;
  readonly dataSets: SeenDataSets;
  /** The worker closes: nothing more is begun. */
  readonly closing: () => boolean;
}

export async function takeTurn(input: TurnInput): Promise<TurnEnd> {
  const turn = new Turn(input);
  try {
    const { context, cell } = input;
    let end = turn.begin(cell);
    for (let batches = 0; end === undefined; batches++) {
      if (batches === context.options.batchesPerLease) return { kind: 'more' };
      if (input.closing() && !input.memory.owesVisit) return { kind: 'more' };
      end = await turn.batch();
    }
    return end;
  } catch (thrown) {
    if (thrown instanceof UnfaithfulValue) {
      input.memory.distrustsValues = true;
      return AGAIN;
    }
    if (!(thrown instanceof TorilError)) throw thrown; // a fault of ours
    return { kind: 'unavailable', cause: thrown };
  } finally {
    turn.putBack();
    turn.release();
  }
}

class Turn {
  readonly #in: TurnInput;
  #cell: KnownCell = NO_CELL;
  #released = false;
  /** The token of a batch that was taken, while nothing of it has been sent to memcached; 0: none. */
  #taken = 0;

  constructor(input: TurnInput) {
    this.#in = input;
  }

  /** Nobody need wait for what stays behind: the next one may take it later, or never. */
  putBack(): void {
    const { context, key } = this.#in;
    if (this.#taken === 0) return;
    context.lanes.putBack(key, this.#taken).catch(() => undefined);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    void this.#in.lease.release();
  }

  /** Takes in what was read of the cell. Undefined: go on. */
  begin(cell: Outcome<Item>): TurnEnd | undefined {
    if (cell.kind === 'unknown') return { kind: 'unavailable', cause: cell.cause };
    if (cell.kind === 'done') this.#cell = knownCell(cell.value);
    else if (cell.reason !== 'missing') return AGAIN;
    return undefined;
  }

  /** Undefined: go on under the same lease. */
  async batch(): Promise<TurnEnd | undefined> {
    const { context, key, lease, arrivals, memory } = this.#in;
    const startedMs = context.clock.monotonicMs();
    memory.layDown();
    const asked = arrivals.jobIds();
    const taken = await context.lanes.take(this.#request(asked));
    this.#settleDecided(asked, taken);
    const { copy, entries, gone } = taken;
    if (gone.length > 0) context.report('jobsMissing', { key, jobIds: gone });
    this.#taken = entries.length > 0 ? taken.token : 0;
    const standing = believe(this.#cell.content, copy, this.#viewpoint(taken));
    if (standing.kind === 'unacknowledged') return this.#acknowledgeFor(standing.envelope, taken);
    if (standing.kind === 'restore' && standing.found === 'stale') return this.#putRight(taken);
    memory.owesVisit = false;
    if (entries.length === 0) return taken.length === 0 ? { kind: 'idle' } : undefined;
    if (standing.kind === 'refused') return this.#hold(standing.cause);
    const start = startFrom(standing, taken, this.#cell, key, context);
    if (start instanceof TorilError) return this.#hold(start);
    const fit = this.#fit();
    if (standing.kind === 'restore' && isStrict(entries, context.registry)) {
      // It would act on the outside world at every look, and never be committed.
      const cause = unchangedTooLarge(start, taken, fit);
      if (cause !== undefined) return this.#hold(cause);
    }
    if (isStrict(entries, context.registry) && !(await this.#close())) return this.#lost();
    const rules = new TurnRules(this.#in, taken);
    const folding = foldToFit(start, taken, standing, rules, fit);
    const fitting = folding instanceof Promise ? await folding : folding;
    if (fitting instanceof TorilError) return this.#hold(fitting);
    const { batch } = fitting;
    if (batch.stop.kind === 'lost' || lease.trustLeftMs() <= 0) return this.#lost();
    if (batch.decided === 0 && !this.#givesUp(batch)) {
      arrivals.settleMany(batch.settlements);
      return this.#afterwards(batch.stop, true, taken.headDueInMs);
    }
    const more = taken.length > batch.decided || moves(batch);
    const end =
      (await this.#commit(fitting, taken, isLast(batch.stop, more))) ??
      (await this.#acknowledge(fitting, taken));
    if (end !== undefined) return end;
    if (batch.decided > 0) memory.measured(batch.decided, context.clock.monotonicMs() - startedMs);
    return this.#afterwards(batch.stop, more, 0);
  }

  #fit(): Fit {
    const { context, key, server, lease, memory } = this.#in;
    const itemSizeMax = server.facts?.itemSizeMax ?? Number.POSITIVE_INFINITY;
    return { key, queue: context.queue, itemSizeMax, epoch: lease.connection.epoch, memory };
  }

  #request(arrivals: readonly string[]): TakeRequest {
    const { context, key, memory } = this.#in;
    const { content } = this.#cell;
    const cell = content.kind === 'envelope' ? content.envelope : undefined;
    const jobsMax = memory.jobsToTake(context.options);
    const traces = context.inTrace !== undefined;
    return { key, cell, arrivals, jobsMax, dataMax: context.options.batchDataMax, traces };
  }

  #viewpoint({ dataSet, token, entries }: Taken): Viewpoint {
    const { context, key, dataSets } = this.#in;
    const from = dataSets.note(dataSet.id);
    if (from !== undefined) context.report('redisReplaced', { key, from, to: dataSet.id });
    const firstSequence = entries[0]?.sequence;
    return { queue: context.queue, dataSet, token, firstSequence, knows: dataSets.has };
  }

  #settleDecided(asked: readonly string[], taken: Taken): void {
    const { arrivals } = this.#in;
    for (const [jobId, text] of taken.decided) {
      const outcome = decodeOutcome(text);
      if (outcome !== undefined) arrivals.settle(jobId, { kind: 'decided', outcome });
    }
    if (taken.length === taken.entries.length) this.#dismissAbsent(asked, taken);
  }

  /** A delivered job that is neither in its lane nor decided was removed from BullMQ meanwhile. */
  #dismissAbsent(asked: readonly string[], taken: Taken): void {
    const { arrivals } = this.#in;
    const [only] = taken.entries;
    if (asked.length === 1 && asked[0] === only?.jobId) return; // nearly always
    const present = new Set(taken.entries.map(({ jobId }) => jobId));
    for (const jobId of asked) {
      if (!present.has(jobId)) arrivals.settle(jobId, { kind: 'parked', delayMs: 0 });
    }
  }

  /** Our predecessor died between commit and acknowledge, or its acknowledgement is still under way. */
  async #acknowledgeFor(envelope: Envelope, taken: Taken): Promise<TurnEnd | undefined> {
    const { context, key, memory } = this.#in;
    const valueJson = envelope.value === undefined ? undefined : JSON.stringify(envelope.value);
    const sequences = decodeSequences(envelope.jobs, envelope.watermark);
    const { accepted, missing, wentBack } = await context.lanes.acknowledge({
      key,
      dataSet: taken.dataSet.id,
      base: taken.copy.token,
      token: envelope.token,
      watermark: envelope.watermark,
      decided: sequences.length,
      sequences,
      late: envelope.late,
      value: this.#copyValue(valueJson),
      expireMs: envelope.expireMs,
      decisions: envelope.decisions,
      paceMs: memory.paceMs,
      history: noteOfRecovered(envelope, valueJson, taken, context),
    });
    if (accepted || wentBack === true) memory.owesVisit = false; // there is nothing to see that is not told
    if (wentBack === true) return this.#hold(strangers(envelope));
    if (!accepted) return AGAIN;
    context.report('commitRecovered', { key, token: envelope.token });
    if (missing === true) this.#tellForgotten(envelope);
    return undefined;
  }

  /** Readers see a value that never was acknowledged, or no longer is the last one. */
  async #putRight(taken: Taken): Promise<TurnEnd> {
    const { context, key, lease, cellName, memory } = this.#in;
    const { cas } = this.#cell;
    if (cas === undefined || lease.trustLeftMs() <= 0) return this.#lost();
    const stale = { connection: lease.connection, cellName, cas, queue: context.queue };
    if (!(await putRight(stale, taken))) return AGAIN;
    memory.owesVisit = false;
    context.report('cellRestored', { key, found: 'stale' });
    return { kind: 'more' }; // the copy may have gone on meanwhile: an acknowledgement was under way
  }

  /** Closes the cell to all older holders. False: the lease is lost. */
  async #close(): Promise<boolean> {
    const { lease, cellName } = this.#in;
    const cas = await closeToOlderHolders(lease, cellName, this.#cell.cas);
    if (cas === undefined) return false;
    this.#cell = { ...this.#cell, cas };
    return true;
  }

  /**
   * A delivered job is about to be reported as failed, though it stays in its lane. That is a commit,
   * too, even if it changes nothing: another holder, who took the lane before us, may be about to
   * apply the very job (found by the simulation).
   */
  #givesUp({ stop }: Batch): boolean {
    return stop.kind === 'held' && this.#in.arrivals.get(stop.jobId) !== undefined;
  }

  /** Undefined: the commit is in memcached. */
  async #commit(fitting: FittingBatch, taken: Taken, last: boolean): Promise<TurnEnd | undefined> {
    const { lease, cellName, context, key, memory } = this.#in;
    const { bytes } = fitting;
    this.#taken = 0;
    const { cas } = this.#cell;
    const item = cellItemOf(bytes, fitting);
    const writing =
      cas === undefined
        ? lease.connection.add(cellName, item)
        : lease.connection.replace(cellName, item, cas);
    if (last) this.release(); // in the same write
    const outcome = await writing;
    if (outcome.kind === 'done') {
      if (!last) this.#cell = committedCell(fitting, taken, outcome.value, context.queue);
      memory.owesVisit = true; // until Redis has taken it
      return undefined;
    }
    if (outcome.kind === 'unknown' || outcome.reason === 'not-sent') return this.#lost();
    if (outcome.reason === 'out-of-memory') return { kind: 'unavailable', cause: outOfMemory(key) };
    if (outcome.reason === 'too-large') memory.noteRefused(lease.connection.epoch, bytes.length);
    else context.report('commitRefused', { key, token: taken.token });
    return AGAIN;
  }

  /** Undefined: the commit is the key's state, and every job knows its outcome. */
  async #acknowledge(fitting: FittingBatch, taken: Taken): Promise<TurnEnd | undefined> {
    const { context, key, arrivals, memory } = this.#in;
    const { batch, valueJson, expireMs } = fitting;
    const { accepted, missing } = await context.lanes.acknowledge({
      key,
      dataSet: taken.dataSet.id,
      base: taken.copy.token,
      token: taken.token,
      watermark: batch.watermark,
      decided: batch.decided,
      late: lateOf(taken.entries, batch),
      value: this.#copyValue(valueJson),
      expireMs,
      decisions: batch.decisions,
      paceMs: memory.paceMs,
      history: noteOf(fitting, taken, context),
      deliveries: arrivals.completedBy(batch.settlements),
    });
    if (!accepted) {
      context.report('acknowledgementRefused', { key, token: taken.token });
      return AGAIN;
    }
    memory.owesVisit = false;
    context.report('committed', { key, token: taken.token, jobs: batch.decided });
    if (batch.unapplied.length > 0) {
      context.report('jobsNotApplied', { key, jobIds: batch.unapplied });
    }
    if (missing === true) this.#tellForgotten(taken);
    if (missing === true) arrivals.settleUndecided(batch.settlements);
    else arrivals.settleMany(batch.settlements);
    return undefined;
  }

  /** They are in the value. Nobody could tell if they were added again. */
  #tellForgotten({ token }: { readonly token: number }): void {
    this.#in.context.report('jobsForgotten', { key: this.#in.key, token, code: 'REDIS_WENT_BACK' });
  }

  #copyValue(valueJson: string | undefined): Acknowledgement['value'] {
    if (!this.#in.context.options.durableCopies) return 'not-kept';
    return valueJson === undefined ? 'deleted' : { json: valueJson };
  }

  /** What comes after a batch is settled. Undefined: the next batch. */
  #afterwards(stop: Stop, more: boolean, headDueInMs: number): TurnEnd | undefined {
    const { context, key, arrivals } = this.#in;
    const { blockedMs } = context.options;
    switch (stop.kind) {
      case 'end':
      case 'commit':
        return more ? undefined : { kind: 'idle' };
      case 'closing':
        return { kind: 'more' };
      case 'lost':
      case 'again':
        return AGAIN;
      case 'delivery':
        if (arrivals.get(stop.jobId) !== undefined) return { kind: 'more' }; // it came meanwhile
        context.deliverNext(stop.jobId, key);
        return { kind: 'blocked', delayMs: Math.max(DELIVERY_WAIT_MS, headDueInMs) };
      case 'unknown-update':
        context.report('updateUnknown', { key, jobId: stop.jobId, name: stop.name });
        return { kind: 'blocked', delayMs: blockedMs };
      case 'held':
        context.report('laneHeld', {
          key,
          jobId: stop.jobId,
          reason: stop.reason,
          code: 'JOB_FAILED',
        });
        return { kind: 'blocked', delayMs: blockedMs };
    }
  }

  #hold(cause: TorilError): TurnEnd {
    const { context, key } = this.#in;
    context.report('laneHeld', { key, jobId: undefined, reason: cause.message, code: cause.code });
    return { kind: 'blocked', delayMs: context.options.blockedMs };
  }

  #lost(): TurnEnd {
    this.#in.context.report('leaseLost', { key: this.#in.key });
    return AGAIN;
  }
}

/** Nothing more will be done under this lease once the batch is committed. */
function isLast(stop: Stop, more: boolean): boolean {
  return stop.kind === 'end' || stop.kind === 'commit' ? !more : true;
}

function moves(batch: Batch): boolean {
  for (const decision of batch.decisions.values()) if (decision === 'm') return true;
  return false;
}

function outOfMemory(key: string): TorilError {
  return new TorilError(
    'MEMCACHED_REFUSED',
    `memcached has no room for the cell of "${key}". Give it more memory (-m).`,
  );
}
