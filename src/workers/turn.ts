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
import { assert, AssertionError } from '../base/assert.ts';
import { believe, type Standing } from '../cells/believe.ts';
import {
  CELL_FLAGS,
  decodeItem,
  encodeEnvelope,
  PLACEHOLDER,
  type CellContent,
  type Envelope,
} from '../cells/envelope.ts';
import { messageOf, redisFailed, TorilError } from '../errors.ts';
import type { Acknowledgement, Taken } from '../jobs/lanes.ts';
import { decodeOutcome } from '../jobs/outcome.ts';
import type { Lease } from '../lock/lock.ts';
import type { Cas, Item, Outcome } from '../memcached/server.ts';
import type { Arrivals } from './arrivals.ts';
import { fold, type Batch, type FoldRules, type FoldStart, type Stop } from './fold.ts';
import type { GateContext } from './gate-context.ts';
import type { KeyMemory } from './key-memory.ts';

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

/** A tombstone's life in seconds; the copy that knows of the deletion lives longer. */
const TOMBSTONE_SECONDS = 60;
/** Bytes that memcached adds to an item (header, CAS, slab rounding), generously. */
const ITEM_OVERHEAD_BYTES = 512;
/** Milliseconds between two looks at a head that waits for its delivery, if BullMQ does not say when. */
const DELIVERY_WAIT_MS = 250;
const AGAIN: TurnEnd = { kind: 'again' };
const NOTHING: Buffer = Buffer.alloc(0);

/** The cell as it is known at this point of the turn. */
interface KnownCell {
  readonly content: CellContent;
  /** Undefined: there is no item, so the commit must be an `add`. */
  readonly cas: Cas | undefined;
  /** The value, made anew each time. */
  readonly fresh: () => unknown;
}

export interface TurnInput {
  readonly context: GateContext;
  readonly key: string;
  readonly cellName: string;
  readonly lease: Lease;
  /** What was read in the same write as the lock was acquired. */
  readonly cell: Outcome<Item>;
  readonly arrivals: Arrivals;
  readonly memory: KeyMemory;
}

export async function takeTurn(input: TurnInput): Promise<TurnEnd> {
  const turn = new Turn(input);
  try {
    return await turn.run();
  } catch (thrown) {
    if (!(thrown instanceof Error) || thrown instanceof AssertionError) throw thrown;
    return { kind: 'unavailable', cause: redisFailed(thrown) };
  } finally {
    turn.release();
  }
}

class Turn {
  readonly #in: TurnInput;
  #cell: KnownCell;
  #released = false;
  /** The strict path's second step was taken under this lease. */
  #confirmed = false;

  constructor(input: TurnInput) {
    this.#in = input;
    this.#cell = { content: { kind: 'missing' }, cas: undefined, fresh: () => undefined };
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    void this.#in.lease.release();
  }

  async run(): Promise<TurnEnd> {
    const { cell, context } = this.#in;
    if (cell.kind === 'unknown') return { kind: 'unavailable', cause: cell.cause };
    if (cell.kind === 'done') this.#cell = knownCell(cell.value);
    else if (cell.reason !== 'missing') return AGAIN;
    for (let batches = 0; batches < context.options.batchesPerLease; batches++) {
      const end = await this.#batch();
      if (end !== undefined) return end;
    }
    return { kind: 'more' };
  }

  /** Undefined: go on under the same lease. */
  async #batch(): Promise<TurnEnd | undefined> {
    const { context, lease, arrivals, memory } = this.#in;
    const startedMs = context.clock.monotonicMs();
    const taken = await this.#take();
    const standing = believe(this.#cell.content, taken.copy, context.queue);
    if (standing.kind === 'unacknowledged') return this.#acknowledgeFor(standing.envelope, taken);
    if (taken.entries.length === 0) return taken.length === 0 ? { kind: 'idle' } : undefined;
    if (standing.kind === 'refused') return this.#hold(standing.cause);
    const start = this.#startFrom(standing, taken);
    if (start instanceof TorilError) return this.#hold(start);
    if (!(await this.#confirmIfStrict(taken))) return this.#lost();

    const fitting = await this.#foldToFit(start, taken, standing);
    const { batch } = fitting;
    if (batch.stop.kind === 'lost' || lease.trustLeftMs() <= 0) return this.#lost();
    if (batch.decided === 0) {
      arrivals.settleMany(batch.settlements);
      return this.#afterwards(batch.stop, true, taken.headDueMs);
    }
    const more = taken.length > batch.decided || moves(batch);
    const end =
      (await this.#commit(fitting, taken, isLast(batch.stop, more))) ??
      (await this.#acknowledge(fitting, taken));
    if (end !== undefined) return end;
    memory.measured(batch.decided, context.clock.monotonicMs() - startedMs);
    return this.#afterwards(batch.stop, more, 0);
  }

  async #take(): Promise<Taken> {
    const { context, key, arrivals } = this.#in;
    const { content } = this.#cell;
    const asked = arrivals.jobIds();
    const taken = await context.lanes.take({
      key,
      cell: content.kind === 'envelope' ? content.envelope : undefined,
      arrivals: asked,
      jobsMax: context.options.batchJobsMax,
      dataMax: context.options.batchDataMax,
    });
    for (const [jobId, text] of taken.decided) {
      const outcome = decodeOutcome(text);
      if (outcome !== undefined) arrivals.settle(jobId, { kind: 'decided', outcome });
    }
    if (taken.length === taken.entries.length) this.#dismissAbsent(asked, taken);
    return taken;
  }

  /** A delivered job that is neither in its lane nor decided was removed from BullMQ meanwhile. */
  #dismissAbsent(asked: readonly string[], taken: Taken): void {
    const { arrivals } = this.#in;
    const present = new Set(taken.entries.map(({ jobId }) => jobId));
    for (const jobId of asked) {
      if (!present.has(jobId)) arrivals.settle(jobId, { kind: 'parked', delayMs: 0 });
    }
  }

  /** Our predecessor died between commit and acknowledge, or its acknowledgement is still under way. */
  async #acknowledgeFor(envelope: Envelope, taken: Taken): Promise<TurnEnd | undefined> {
    const { context, key, memory } = this.#in;
    const { accepted, parked } = await context.lanes.acknowledge({
      key,
      base: taken.copy.token,
      token: envelope.token,
      watermark: envelope.watermark,
      value: this.#copyValue(
        envelope.value === undefined ? undefined : JSON.stringify(envelope.value),
      ),
      expireMs: envelope.expireMs,
      decisions: envelope.decisions,
      paceMs: memory.paceMs,
    });
    if (!accepted) return AGAIN;
    context.report('commitRecovered', { key, token: envelope.token });
    this.#promote(parked);
    return undefined;
  }

  /** Where the fold begins; an error if nobody but an operator can tell. */
  #startFrom(
    standing: Exclude<Standing, { kind: 'refused' | 'unacknowledged' }>,
    taken: Taken,
  ): FoldStart | TorilError {
    const { context, key } = this.#in;
    const { copy, token } = taken;
    const base = { watermark: copy.watermark, cascadeTo: copy.cascadeTo, token };
    switch (standing.kind) {
      case 'clean':
        return { ...base, fresh: this.#cell.fresh };
      case 'fresh':
        return { ...base, fresh: () => undefined };
      case 'foreign':
        return this.#adopt(standing.bytes, taken, base);
      case 'restore': {
        const { value } = copy;
        assert(value !== 'not-sent', 'a copy is sent unless its cell is believed');
        if (value === 'not-kept') context.report('cellLost', { key });
        else if (value !== 'deleted')
          context.report('cellRestored', { key, found: standing.found });
        return {
          ...base,
          fresh: () => (typeof value === 'object' ? JSON.parse(value.json) : undefined),
        };
      }
    }
  }

  #adopt(bytes: Buffer, taken: Taken, base: Omit<FoldStart, 'fresh'>): FoldStart | TorilError {
    const { context, key } = this.#in;
    const { registry } = context;
    const update = taken.entries
      .map(({ name }) => registry.find(name))
      .find((found) => found?.adopt !== undefined);
    if (update?.adopt === undefined) return foreignValue(key);
    try {
      const json = JSON.stringify(update.adopt(bytes, key));
      context.report('cellAdopted', { key });
      return { ...base, fresh: () => JSON.parse(json) };
    } catch (thrown) {
      return new TorilError(
        'FOREIGN_VALUE',
        `"adopt" of the update "${update.name}" threw: ${messageOf(thrown)}.`,
        { cause: thrown },
      );
    }
  }

  /**
   * Strict updates act on the outside world, so no older holder's write may land once they begin:
   * the cell gets a new CAS, and then the lock must still be ours. The order is essential.
   */
  async #confirmIfStrict(taken: Taken): Promise<boolean> {
    const { context, lease, cellName } = this.#in;
    if (this.#confirmed) return true;
    if (!taken.entries.some(({ name }) => context.registry.find(name)?.strict === true))
      return true;
    const { cas } = this.#cell;
    const ttlSeconds = Math.ceil(lease.durationMs / 1000) + TOMBSTONE_SECONDS;
    const bumped =
      cas === undefined
        ? lease.connection.add(cellName, { value: PLACEHOLDER, flags: CELL_FLAGS, ttlSeconds })
        : lease.connection.bump(cellName, cas);
    const confirmed = lease.confirm();
    const outcome = await bumped;
    if (!(await confirmed) || outcome.kind !== 'done') return false;
    this.#cell = { ...this.#cell, cas: outcome.value };
    this.#confirmed = true;
    return true;
  }

  /** Folds as many jobs as give a value that memcached can store. */
  async #foldToFit(start: FoldStart, taken: Taken, standing: Standing): Promise<FittingBatch> {
    let { entries } = taken;
    for (;;) {
      const batch = await fold(start, entries, this.#rules(taken));
      const expireMs =
        batch.expireMs ?? (standing.kind === 'clean' ? standing.envelope.expireMs : 0);
      if (batch.decided === 0 || batch.stop.kind === 'lost')
        return { batch, expireMs, bytes: NOTHING, valueJson: undefined };
      const valueJson = batch.value === undefined ? undefined : JSON.stringify(batch.value);
      const bytes = this.#encode(batch, valueJson, expireMs, taken);
      if (bytes.length <= this.#bytesMax()) return { batch, expireMs, bytes, valueJson };
      if (batch.decided > 1) entries = entries.slice(0, Math.ceil(batch.decided / 2));
      else this.#overweight(batch, entries[0]?.jobId ?? '', bytes.length);
    }
  }

  #overweight(batch: Batch, jobId: string, bytes: number): void {
    assert(batch.applied > 0, 'an envelope can only outgrow memcached by applying a job');
    this.#in.memory.overweight.set(
      jobId,
      new TorilError(
        'VALUE_TOO_LARGE',
        `the new value of "${this.#in.key}" takes ${bytes} bytes, and memcached stores ${this.#bytesMax()} at most. The value stays as it was. Keep less under one key, or start memcached with a larger -I.`,
      ),
    );
  }

  #bytesMax(): number {
    const { context, key, memory } = this.#in;
    const stored = context.servers.serverFor(key).facts?.itemSizeMax ?? Number.POSITIVE_INFINITY;
    return Math.min(stored - ITEM_OVERHEAD_BYTES, memory.itemBytesMax);
  }

  #rules(taken: Taken): FoldRules {
    const { context, key, lease, arrivals, memory } = this.#in;
    return {
      key,
      registry: context.registry,
      clock: context.clock,
      batchMs: context.options.batchMs,
      stallsMax: context.options.stallsMax,
      onlyDelivered: taken.paused || context.rateLimited,
      arrivalOf: (jobId) => arrivals.get(jobId),
      suspects: memory.suspects,
      overweight: memory.overweight,
      leaseSignal: () => lease.signal,
      leaseHeld: () => lease.trustLeftMs() > 0,
      startAlone: (jobId) => context.lanes.startAlone(jobId),
    };
  }

  #encode(batch: Batch, valueJson: string | undefined, expireMs: number, taken: Taken): Buffer {
    return encodeEnvelope({
      valueJson,
      watermark: batch.watermark,
      token: taken.token,
      base: taken.copy.token,
      queue: this.#in.context.queue,
      decisions: batch.decisions,
      expireMs,
    });
  }

  /** Undefined: the commit is in memcached. */
  async #commit(fitting: FittingBatch, taken: Taken, last: boolean): Promise<TurnEnd | undefined> {
    const { lease, cellName, context, key, memory } = this.#in;
    const { batch, bytes, expireMs } = fitting;
    const { cas } = this.#cell;
    const ttlSeconds = batch.value === undefined ? TOMBSTONE_SECONDS : Math.ceil(expireMs / 1000);
    const item = { value: bytes, flags: CELL_FLAGS, ttlSeconds };
    const writing =
      cas === undefined
        ? lease.connection.add(cellName, item)
        : lease.connection.replace(cellName, item, cas);
    if (last) this.release(); // in the same write
    const outcome = await writing;
    if (outcome.kind === 'done') {
      this.#cell = committedCell(fitting, taken, outcome.value);
      return undefined;
    }
    if (outcome.kind === 'unknown' || outcome.reason === 'not-sent') return this.#lost();
    if (outcome.reason === 'out-of-memory') return { kind: 'unavailable', cause: outOfMemory(key) };
    if (outcome.reason === 'too-large') memory.itemBytesMax = bytes.length - 1;
    else context.report('commitRefused', { key, token: taken.token });
    return AGAIN;
  }

  /** Undefined: the commit is the key's state, and every job knows its outcome. */
  async #acknowledge(
    { batch, valueJson, expireMs }: FittingBatch,
    taken: Taken,
  ): Promise<TurnEnd | undefined> {
    const { context, key, arrivals, memory } = this.#in;
    const { accepted, parked } = await context.lanes.acknowledge({
      key,
      base: taken.copy.token,
      token: taken.token,
      watermark: batch.watermark,
      value: this.#copyValue(valueJson),
      expireMs,
      decisions: batch.decisions,
      paceMs: memory.paceMs,
    });
    if (!accepted) {
      context.report('acknowledgementRefused', { key, token: taken.token });
      return AGAIN;
    }
    context.report('committed', { key, token: taken.token, jobs: batch.decided });
    arrivals.settleMany(batch.settlements);
    this.#promote(parked);
    return undefined;
  }

  #copyValue(valueJson: string | undefined): Acknowledgement['value'] {
    if (!this.#in.context.options.durableCopies) return 'not-kept';
    return valueJson === undefined ? 'deleted' : { json: valueJson };
  }

  #promote(parked: readonly string[]): void {
    if (parked.length > 0) this.#in.context.promote(parked);
  }

  /** What comes after a batch is settled. Undefined: the next batch. */
  #afterwards(stop: Stop, more: boolean, headDueMs: number): TurnEnd | undefined {
    const { context, key } = this.#in;
    const { blockedMs } = context.options;
    switch (stop.kind) {
      case 'end':
      case 'commit':
        return more ? undefined : { kind: 'idle' };
      case 'lost':
        return AGAIN;
      case 'delivery':
        return {
          kind: 'blocked',
          delayMs: Math.max(DELIVERY_WAIT_MS, headDueMs - context.clock.wallMs()),
        };
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

/** A batch and what will be stored of it. */
interface FittingBatch {
  readonly batch: Batch;
  /** The envelope. */
  readonly bytes: Buffer;
  readonly valueJson: string | undefined;
  readonly expireMs: number;
}

function knownCell(item: Item): KnownCell {
  const content = decodeItem(item);
  return { content, cas: item.cas, fresh: freshValues(content, () => valueOf(decodeItem(item))) };
}

function committedCell(
  { batch, valueJson, expireMs }: FittingBatch,
  taken: Taken,
  cas: Cas,
): KnownCell {
  const content: CellContent = {
    kind: 'envelope',
    envelope: {
      value: batch.value,
      watermark: batch.watermark,
      token: taken.token,
      base: taken.copy.token,
      queue: '',
      decisions: batch.decisions,
      expireMs,
    },
  };
  return {
    content,
    cas,
    fresh: freshValues(content, () =>
      valueJson === undefined ? undefined : JSON.parse(valueJson),
    ),
  };
}

/** The first fold may have the value that is at hand; only another one, after it was spoilt, must parse again. */
function freshValues(content: CellContent, again: () => unknown): () => unknown {
  let first = true;
  return () => {
    if (!first) return again();
    first = false;
    return valueOf(content);
  };
}

function valueOf(content: CellContent): unknown {
  return content.kind === 'envelope' ? content.envelope.value : undefined;
}

/** Nothing more will be done under this lease once the batch is committed. */
function isLast(stop: Stop, more: boolean): boolean {
  return stop.kind === 'end' || stop.kind === 'commit' ? !more : true;
}

function moves(batch: Batch): boolean {
  for (const decision of batch.decisions.values()) if (decision === 'm') return true;
  return false;
}

function foreignValue(key: string): TorilError {
  return new TorilError(
    'FOREIGN_VALUE',
    `memcached holds a value under "${key}" that Toril did not write. Delete it, use another key, or give the update an "adopt" function that takes it over.`,
  );
}

function outOfMemory(key: string): TorilError {
  return new TorilError(
    'MEMCACHED_REFUSED',
    `memcached has no room for the cell of "${key}". Give it more memory (-m).`,
  );
}
