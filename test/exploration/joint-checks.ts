/**
 * The promises for transactions, checked on what can be seen from outside, as checks.ts does it for one key. A joint commit is
 * acknowledged before its cells are written: so readers see nothing that is not acknowledged, and a cell may lag behind.
 */
import { type Watch, Violation } from './checks.ts';
import type { MemcachedState } from './memcached-states.ts';
import type { RedisState } from './redis-states.ts';
import { type SeenEnvelope, SeenEnvelopes } from './seen-envelopes.ts';
import { KEYS, placeOf, type WorkerEvent } from './worker-plan.ts';

type Envelope = SeenEnvelope<number>;

/** The keys of a job. */
type KeysOf = (jobId: string) => readonly string[];

export class JointChecks {
  /** Of each key, its jobs in the order of its lane. */
  readonly #orders: readonly (readonly number[])[];
  readonly #jobs: readonly string[];
  readonly #keysOf: KeysOf;
  readonly #envelopes = new SeenEnvelopes<number>();

  constructor(jobs: number, keysOf: KeysOf) {
    this.#jobs = Array.from({ length: jobs }, (_, at) => String(at + 1));
    this.#keysOf = keysOf;
    this.#orders = KEYS.map((key) =>
      this.#jobs.filter((jobId) => keysOf(jobId).includes(key)).map(Number),
    );
  }

  /** A client's request was executed. */
  executed(watch: Watch, before: MemcachedState, after: MemcachedState, redis: RedisState): Watch {
    let { lostCells } = watch;
    for (const at of KEYS.keys()) {
      const [oldText = '', text = ''] = [before.cellTexts[at], after.cellTexts[at]];
      if (oldText === text) continue;
      const old = this.#envelopes.read(oldText);
      const now = this.#envelopes.read(text);
      const isLost = (lostCells & (2 ** at)) !== 0;
      if (now === undefined) {
        // Where there is no room for what is true, nothing is better than what no longer is.
        if (old !== undefined && !isLost && old.token >= (redis.copies[at]?.token ?? 0))
          throw new Violation('P1', `a request took away the value of ${KEYS[at]}`);
        continue;
      }
      this.#written(at, old, now, isLost, redis);
      if (now.token === redis.copies[at]?.token) lostCells &= ~(2 ** at);
    }
    return { ...watch, lostCells };
  }

  #written(
    at: number,
    old: Envelope | undefined,
    now: Envelope,
    isLost: boolean,
    redis: RedisState,
  ): void {
    const key = KEYS[at] as string;
    const copy = redis.copies[at] as RedisState['copies'][number];
    this.#checkOrder(now.value, at, `the cell of ${key}`);
    if (now.token !== now.base)
      throw new Violation('P9', `the cell of ${key} says that it was built on ${now.base}`);
    const isAcknowledged = copy.value.startsWith(JSON.stringify(now.value).slice(0, -1));
    if (now.token > copy.token || !isAcknowledged)
      throw new Violation(
        'P1',
        `${key} was made commit ${now.token}, which was never acknowledged`,
      );
    if (old === undefined || isLost) return;
    if (now.token <= old.token)
      throw new Violation('P5', `${key}: token ${now.token} came after ${old.token}`);
    if (now.value.length <= old.value.length)
      throw new Violation('P1', `a reader sees ${show(old.value)}, then ${show(now.value)}`);
  }

  /** Memcached lost something by itself. `at`: the key's place. */
  lost(watch: Watch, what: 'cell' | 'lock' | 'both', at: number): Watch {
    if (what === 'lock') return watch;
    const lost = what === 'both' ? 2 ** KEYS.length - 1 : 2 ** at;
    return { ...watch, lostCells: watch.lostCells | lost };
  }

  /** A script was executed. */
  acknowledged(watch: Watch, before: RedisState, after: RedisState, cells: MemcachedState): Watch {
    if (before.copies === after.copies) return watch;
    let { lostCells } = watch;
    for (const [at, { token, value }] of after.copies.entries()) {
      const old = before.copies[at] as RedisState['copies'][number];
      if (token === old.token) continue;
      if (token < old.token)
        throw new Violation('P5', `token ${token} was acknowledged after ${old.token}`);
      const [was, now] = [valueOf(old.value), valueOf(value)];
      this.#checkOrder(now, at, `the copy of ${KEYS[at]}`);
      if (now.length <= was.length)
        throw new Violation('P1', `the copy ${show(was)} was followed by ${show(now)}`);
      if (this.#envelopes.read(cells.cellTexts[at] ?? '')?.token === token) lostCells &= ~(2 ** at);
    }
    for (const jobId of this.#jobs) this.#checkWhole(jobId, after);
    return { ...watch, lostCells };
  }

  /** A transaction is in the copies of all its keys, or of none. */
  #checkWhole(jobId: string, { copies }: RedisState): void {
    const keys = this.#keysOf(jobId);
    const has = keys.filter((key) =>
      valueOf(copies[placeOf(key)]?.value ?? '').includes(Number(jobId)),
    );
    if (has.length > 0 && has.length < keys.length)
      throw new Violation('P1', `job ${jobId} of ${keys.join(' ')} is applied to ${has.join(' ')}`);
  }

  /** Everybody has finished: a reader sees what was acknowledged last, or nothing. */
  ended({ cellTexts }: MemcachedState, { copies }: RedisState): void {
    for (const [at, { token, value }] of copies.entries()) {
      const cell = this.#envelopes.read(cellTexts[at] ?? '');
      if (cell === undefined || cell.token === token) continue;
      const what = `everybody has finished, and a reader still sees ${show(cell.value)} of ${KEYS[at]}, not ${value}`;
      throw new Violation('P9', what);
    }
  }

  heard(watch: Watch, event: WorkerEvent, redis: RedisState, memcached: MemcachedState): Watch {
    if (event.kind !== 'ended' || event.end === 'back') return watch;
    const { jobId, end, text } = event;
    if (end !== 'completed') throw new Violation('P7', `job ${jobId} ${end}: ${text}`);
    const places: number[] = [];
    for (const key of this.#keysOf(jobId)) {
      const at = placeOf(key);
      places.push((this.#orders[at] ?? []).indexOf(Number(jobId)) + 1);
      const kept = valueOf(redis.copies[at]?.value ?? '');
      if (!kept.includes(Number(jobId)))
        throw new Violation(
          'P3',
          `job ${jobId} is completed, and the copy of ${key} has ${show(kept)}`,
        );
      const cell = this.#envelopes.read(memcached.cellTexts[at] ?? '');
      const isLost = (watch.lostCells & (2 ** at)) !== 0;
      if (cell !== undefined && !isLost && !cell.value.includes(Number(jobId)))
        throw new Violation(
          'P3',
          `job ${jobId} is completed, and a reader sees ${show(cell.value)} of ${key}`,
        );
    }
    const result = JSON.stringify(places.join(' '));
    if (text !== result)
      throw new Violation('P3', `job ${jobId} was given the result ${text}, not ${result}`);
    return watch;
  }

  /** Any true value is the beginning of its lane. */
  #checkOrder(value: readonly number[], at: number, where: string): void {
    if (value.every((job, place) => job === this.#orders[at]?.[place])) return;
    throw new Violation('P2', `${where} has the jobs ${show(value)}`);
  }
}

function valueOf(json: string): readonly number[] {
  return json === '' ? [] : (JSON.parse(json) as number[]);
}

function show(value: readonly number[]): string {
  return `[${value.join(' ')}]`;
}
