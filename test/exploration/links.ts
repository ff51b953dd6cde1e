/**
 * An explored worker's ends of its two links: what it sends is noted as data and waits until the
 * search says what becomes of it. No time passes here and nothing fails by itself.
 */
import { assert } from '../../src/base/assert.ts';
import { TorilError } from '../../src/errors.ts';
import type {
  Acknowledged,
  Acknowledgement,
  Lanes,
  LaneState,
  Location,
  Taken,
  TakeRequest,
} from '../../src/jobs/lanes.ts';
import { FLAGS_BYTES } from '../../src/memcached/item-size.ts';
import { DATA_SET } from './worker-plan.ts';
import type { DrawnToken, TokenSource } from '../../src/lock/lock.ts';
import type {
  Cas,
  Connection,
  Item,
  MemcachedServer,
  NewItem,
  Outcome,
  ServerFacts,
} from '../../src/memcached/server.ts';
import type { MemcachedRequest, RedisRequest } from './requests.ts';

interface Sent<Request, Answer> {
  readonly request: Request;
  readonly settle: (answer: Answer) => void;
}

/** One connection to the explored memcached. It never ends but by `end`. */
export class ExploredConnection implements Connection {
  readonly epoch: number;
  readonly ended: Promise<void>;
  readonly casByUs = false;
  alive = true;
  /** Sent and not yet answered. */
  readonly outstanding: Sent<MemcachedRequest, Outcome<unknown>>[] = [];
  #resolveEnded: () => void = () => {};

  constructor(epoch: number) {
    this.epoch = epoch;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  get(name: string): Promise<Outcome<Item>> {
    return this.#send({ command: 'get', name });
  }

  add(name: string, item: NewItem): Promise<Outcome<Cas>> {
    return this.#send({ command: 'add', name, item });
  }

  replace(name: string, item: NewItem, cas: Cas): Promise<Outcome<Cas>> {
    return this.#send({ command: 'replace', name, item, cas });
  }

  delete(name: string, cas: Cas): Promise<Outcome<void>> {
    return this.#send({ command: 'delete', name, cas });
  }

  bump(name: string, cas: Cas): Promise<Outcome<Cas>> {
    return this.#send({ command: 'bump', name, cas });
  }

  getAndTouch(): Promise<Outcome<Item>> {
    throw new Error('get-and-touch is no part of the protocol: tell the search of it first');
  }

  destroy(): void {
    this.end('MEMCACHED_CLOSED');
  }

  /** The answer to the oldest request arrives. */
  answer(outcome: Outcome<unknown>): void {
    this.outstanding.shift()?.settle(outcome);
  }

  end(code: 'MEMCACHED_CLOSED' | 'MEMCACHED_TIMED_OUT'): void {
    if (!this.alive) return;
    this.alive = false;
    const cause = new TorilError(code, 'the explored connection ended');
    for (const { settle } of this.outstanding.splice(0)) settle({ kind: 'unknown', cause });
    this.#resolveEnded();
  }

  #send<T>(request: MemcachedRequest): Promise<Outcome<T>> {
    assert(!('cas' in request) || request.cas !== 0n, 'a condition on CAS 0, which is none');
    if (!this.alive) return Promise.resolve({ kind: 'refused', reason: 'not-sent' });
    return new Promise((resolve) => {
      this.outstanding.push({ request, settle: resolve as (outcome: Outcome<unknown>) => void });
    });
  }
}

/** Connects whenever somebody asks: a server out of reach differs in nothing from a slow one. */
export class ExploredServer implements MemcachedServer {
  readonly address = 'explored:11211';
  readonly trouble = undefined;
  readonly facts: ServerFacts = {
    ...{ version: 'explored', protocol: 'memory', itemSizeMax: 1024 * 1024 },
    ...{ flagsBytes: FLAGS_BYTES, casByUs: false },
  };
  /** The last connection, which may have ended. */
  last: ExploredConnection | undefined;

  get current(): ExploredConnection | undefined {
    return this.last?.alive === true ? this.last : undefined;
  }

  connection(): Promise<Connection> {
    if (this.current === undefined) {
      this.last = new ExploredConnection((this.last?.epoch ?? 0) + 1);
    }
    return Promise.resolve(this.last as ExploredConnection);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The lanes as a worker sees them, and where its tokens come from. */
export class ExploredRedis implements Lanes, TokenSource {
  readonly outstanding: Sent<RedisRequest, unknown>[] = [];

  take(request: TakeRequest): Promise<Taken> {
    return this.#call({ script: 'take', request });
  }

  /** The pace is left out: it only says for how long jobs are snoozed, which nobody does here. */
  acknowledge(commit: Acknowledgement): Promise<Acknowledged> {
    return this.#call({ script: 'acknowledge', commit: { ...commit, paceMs: 0 } });
  }

  locate(key: string, jobId: string): Promise<Location> {
    return this.#call({ script: 'locate', key, jobId });
  }

  async drawToken(): Promise<DrawnToken> {
    const token = await this.#call<number>({ script: 'drawToken' });
    return { token, dataSet: { id: DATA_SET, madeAt: 0 } };
  }

  /** Nobody removes jobs here. */
  putBack(): Promise<void> {
    return Promise.resolve();
  }

  startAlone(): Promise<number> {
    throw notExplored();
  }

  /** Asked by who leaves a lane, to have its first job delivered: here all are, until they are decided. */
  inspect(): Promise<LaneState> {
    return new Promise(() => {});
  }

  lookAt(): never {
    throw notExplored();
  }

  direct(): never {
    throw notExplored();
  }

  overwriteCopy(): never {
    throw notExplored();
  }

  renumber(): never {
    throw notExplored();
  }

  // No job has several keys here.

  enterJoint(): never {
    throw notExplored();
  }

  acknowledgeJoint(): never {
    throw notExplored();
  }

  settled(): never {
    throw notExplored();
  }

  behind(): never {
    throw notExplored();
  }

  withdraw(): never {
    throw notExplored();
  }

  snapshot(): never {
    throw notExplored();
  }

  /** The reply to the oldest call arrives. */
  answer(reply: unknown): void {
    this.outstanding.shift()?.settle(reply);
  }

  #call<Reply>(request: RedisRequest): Promise<Reply> {
    return new Promise((resolve) => {
      this.outstanding.push({ request, settle: resolve as (reply: unknown) => void });
    });
  }
}

function notExplored(): Error {
  return new Error('no part of the protocol that is searched');
}
