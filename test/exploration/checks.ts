/**
 * The promises, checked on what can be seen from outside: what is in the cell, what is in the copy,
 * what workers were told. Shares no code with the product: it knows an envelope as any reader does.
 */
import type { MemcachedState } from './memcached-states.ts';
import type { RedisState } from './redis-states.ts';
import { type SeenEnvelope, SeenEnvelopes } from './seen-envelopes.ts';
import type { Path, WorkerEvent } from './worker-plan.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
  readonly promise: string;

  constructor(promise: string, what: string) {
    super(what);
    this.promise = promise;
  }
}

/** What must be remembered of the past, since no server shows it. Part of every state. */
export interface Watch {
  /** Bits by key: memcached has lost the cell, and no commit of what is there now has been acknowledged since. */
  readonly lostCells: number;
  /** A lock was lost: until its holder notices, there can be two. */
  readonly isLockLost: boolean;
  /** The highest token with which a strict update or a function has begun. */
  readonly begun: number;
  /** The last token that landed in the cell. */
  readonly landed: number;
  /** Bits by token: whose writes have landed; whose authors were told that they never will. */
  readonly landedBits: number;
  readonly deniedBits: number;
}

export const NOTHING_WATCHED: Watch = {
  lostCells: 0,
  isLockLost: false,
  begun: 0,
  landed: 0,
  landedBits: 0,
  deniedBits: 0,
};

type Envelope = SeenEnvelope<number | string>;

export class Checks {
  readonly #path: Path;
  /** Clocks run in step, so that no two may ever be at work at once. */
  readonly #inStep: boolean;
  readonly #envelopes = new SeenEnvelopes<number | string>();

  constructor(path: Path, inStep: boolean) {
    this.#path = path;
    this.#inStep = inStep;
  }

  /** A client's request was executed. */
  executed(watch: Watch, before: MemcachedState, after: MemcachedState, redis: RedisState): Watch {
    if (cellTextOf(before) === cellTextOf(after)) return watch;
    const old = this.#envelopes.read(cellTextOf(before));
    const now = this.#envelopes.read(cellTextOf(after));
    if (now === undefined) {
      if (old !== undefined && watch.lostCells === 0)
        throw new Violation('P1', 'a request took away the value of the cell');
      return watch;
    }
    if (this.#path !== 'lease' && now.token === now.base) return restored(watch, now, redis);
    if (now.token < watch.begun) {
      const what = `the write of token ${now.token} landed after work with token ${watch.begun} had begun`;
      if (this.#path !== 'queue') throw new Violation('P5', what);
    }
    return this.#path === 'lease'
      ? this.#wroteUnderLease(watch, old, now)
      : this.#committed(watch, old, now);
  }

  /** Memcached lost something by itself. */
  lost(watch: Watch, what: 'cell' | 'lock' | 'both'): Watch {
    return {
      ...watch,
      lostCells: watch.lostCells === 1 || (what !== 'lock' && this.#path !== 'lease') ? 1 : 0,
      isLockLost: watch.isLockLost || (what !== 'cell' && this.#inStep),
    };
  }

  /** A script was executed. */
  acknowledged(watch: Watch, before: RedisState, after: RedisState, cell: MemcachedState): Watch {
    const [last, copy] = [copyOf(before), copyOf(after)];
    if (last.token === copy.token) return watch;
    if (copy.token < last.token)
      throw new Violation('P5', `token ${copy.token} was acknowledged after ${last.token}`);
    const old = valueOf(last.value);
    const now = valueOf(copy.value);
    checkOrder(now, 'the copy');
    if (now.length <= old.length) {
      throw new Violation('P1', `the copy ${show(old)} was followed by ${show(now)}`);
    }
    const present = this.#envelopes.read(cellTextOf(cell));
    return present?.token === copy.token ? { ...watch, lostCells: 0 } : watch;
  }

  /** Everybody has finished: a reader sees what was acknowledged last, or nothing. */
  ended(memcached: MemcachedState, redis: RedisState): void {
    const cell = this.#envelopes.read(cellTextOf(memcached));
    const { token, value } = copyOf(redis);
    if (cell === undefined || cell.token === token) return;
    const what = `everybody has finished, and a reader still sees ${show(cell.value)}, not ${show(valueOf(value))}`;
    throw new Violation('P9', what);
  }

  /** `othersRun`: of the other workers, some are at work. `isCalm`: no fault has struck. */
  heard(
    watch: Watch,
    event: WorkerEvent,
    redis: RedisState,
    _memcached: MemcachedState,
    othersRun: boolean,
    isCalm: boolean,
  ): Watch {
    switch (event.kind) {
      case 'began':
        return this.#began(watch, event.token, othersRun);
      case 'ended':
        checkEnd(event, redis);
        return watch;
      case 'told':
        if (isCalm && event.fate !== 'written') {
          const what = `${event.entry} was told "${event.fate}", though nothing had happened to its lease`;
          throw new Violation('P6', what);
        }
        return told(watch, event);
      case 'threw':
        throw new Violation('P9', `withLease threw ${event.what}`);
    }
  }

  #began(watch: Watch, token: number, othersRun: boolean): Watch {
    if (this.#inStep && !watch.isLockLost) {
      if (othersRun)
        throw new Violation('P1', `token ${token} began while another one was at work`);
      if (token < watch.begun) {
        throw new Violation('P5', `work with token ${token} began after ${watch.begun}`);
      }
    }
    return { ...watch, begun: Math.max(watch.begun, token) };
  }

  #committed(watch: Watch, old: Envelope | undefined, now: Envelope): Watch {
    checkOrder(now.value, 'the cell');
    if (old === undefined || watch.lostCells !== 0) return watch;
    if (now.base !== old.token) {
      const what = `a reader sees commit ${old.token}, then ${now.token}, which was built on ${now.base}`;
      throw new Violation('P1', what);
    }
    if (now.token <= old.token) {
      throw new Violation('P5', `token ${now.token} came after ${old.token}`);
    }
    if (now.value.length <= old.value.length) {
      throw new Violation('P1', `a reader sees ${show(old.value)}, then ${show(now.value)}`);
    }
    return watch;
  }

  #wroteUnderLease(watch: Watch, old: Envelope | undefined, now: Envelope): Watch {
    const before = old?.value ?? [];
    const isNext =
      now.value.length === before.length + 1 &&
      before.every((entry, at) => entry === now.value[at]);
    if (!isNext) throw new Violation('P1', `${show(before)} became ${show(now.value)}`);
    if (now.token <= watch.landed) {
      throw new Violation('P5', `token ${now.token} landed after ${watch.landed}`);
    }
    const bit = 2 ** now.token;
    if ((watch.deniedBits & bit) !== 0) {
      const what = `the write of token ${now.token} landed after its author was told that it had not`;
      throw new Violation('P9', what);
    }
    return { ...watch, landed: now.token, landedBits: watch.landedBits | bit };
  }
}

/** Somebody has put a stale cell right: only what was acknowledged, and only where the cell had been lost. */
function restored(watch: Watch, { token }: Envelope, redis: RedisState): Watch {
  const copyToken = copyOf(redis).token;
  if (token > copyToken) {
    throw new Violation('P1', `the cell was made commit ${token}, which was never acknowledged`);
  }
  if (watch.lostCells === 0) {
    throw new Violation(
      'P1',
      `the cell was made commit ${token}, though memcached had not lost it`,
    );
  }
  return { ...watch, lostCells: token === copyToken ? 0 : 1 };
}

function told(watch: Watch, event: Extract<WorkerEvent, { kind: 'told' }>): Watch {
  const { token, entry, fate } = event;
  const bit = 2 ** token;
  const hasLanded = (watch.landedBits & bit) !== 0;
  if (fate === 'written' && !hasLanded) {
    throw new Violation('P3', `${entry} was told that it was written, and was not`);
  }
  if (fate === 'written' || fate === 'unknown' || token === 0) return watch;
  if (hasLanded) throw new Violation('P9', `${entry} was told "${fate}", and was written`);
  return { ...watch, deniedBits: watch.deniedBits | bit };
}

function checkEnd(
  { jobId, end, text }: Extract<WorkerEvent, { kind: 'ended' }>,
  redis: RedisState,
): void {
  if (end === 'back') return;
  if (end !== 'completed') throw new Violation('P7', `job ${jobId} ${end}: ${text}`);
  const kept = valueOf(copyOf(redis).value);
  if (!kept.includes(Number(jobId))) {
    throw new Violation('P3', `job ${jobId} is completed, and the copy has ${show(kept)}`);
  }
  // Job n is the nth: its result, the number of jobs so far, is n.
  if (text !== jobId) throw new Violation('P3', `job ${jobId} was given the result ${text}`);
}

/** Jobs are numbered in the order of their lane: any true value is the beginning of 1, 2, 3, ... */
function checkOrder(value: readonly (number | string)[], where: string): void {
  if (value.every((job, at) => job === at + 1)) return;
  throw new Violation('P2', `${where} has the jobs ${show(value)}`);
}

function cellTextOf({ cellTexts }: MemcachedState): string {
  return cellTexts[0] ?? '';
}

function copyOf({ copies }: RedisState): RedisState['copies'][number] {
  return copies[0] as RedisState['copies'][number];
}

function valueOf(json: string): readonly (number | string)[] {
  return json === '' ? [] : (JSON.parse(json) as (number | string)[]);
}

function show(value: readonly (number | string)[]): string {
  return `[${value.join(' ')}]`;
}
