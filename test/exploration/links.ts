/**
 * An explored worker's ends of its two links: what it sends is noted as data and waits until the
 * search says what becomes of it. No time passes here and nothing fails by itself.
 */
import { assert } from '../../src/base/assert.ts';
import { TorilError } from '../../src/errors.ts';
import type { BehindCommit, JointCommit } from '../../src/jobs/joint-lanes.ts';
import type {
  Acknowledgement,
  Lanes,
  LaneState,
  Location,
  Taken,
  TakeRequest,
} from '../../src/jobs/lanes.ts';
import type { Acknowledged } from '../../src/jobs/lane.ts';
import { FLAGS_BYTES } from '../../src/memcached/item-limits.ts';
import { DATA_SET, type WorkerPlan } from './worker-plan.ts';
import type { DrawnToken, TokenSource } from '../../src/lock/lock.ts';
import {
  type Cas,
  type Connection,
  type Item,
  type MemcachedServer,
  type NewItem,
  type Outcome,
  refusedFor,
  type ServerFacts,
} from '../../src/memcached/server.ts';
import type { MemcachedRequest, RedisRequest } from './requests.ts';

type Storing = Extract<MemcachedRequest, { readonly item: NewItem }>;

/** What a worker's link to memcached can do. */
export interface LinkOptions extends Pick<WorkerPlan, 'protocol' | 'locks'> {
  /** A lock by CAS is handed over for sending. */
  readonly lockChosen: () => void;
  /** In whose course something is sent (worker-rounds.ts). */
  readonly round: () => number;
}

interface Sent<Request, Answer> {
  readonly request: Request;
  readonly round: number;
  readonly settle: (answer: Answer) => void;
}

/**
 * One connection to the explored memcached. It never ends but by `end`. In the meta protocol some requests are two
 * commands, each a step of its own (src/memcached/meta/commands.ts).
 */
export class ExploredConnection implements Connection {
  readonly epoch: number;
  readonly #options: LinkOptions;
  readonly ended: Promise<void>;
  readonly casByUs: boolean;
  alive = true;
  /** Sent and not yet answered. */
  readonly outstanding: Sent<MemcachedRequest, Outcome<unknown>>[] = [];
  #resolveEnded: () => void = () => {};

  constructor(epoch: number, options: LinkOptions) {
    this.epoch = epoch;
    this.#options = options;
    this.casByUs = options.locks === 'cas';
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  get(name: string): Promise<Outcome<Item>> {
    return this.#send({ command: 'get', name });
  }

  add(name: string, item: NewItem): Promise<Outcome<Cas>> {
    return this.#store({ command: 'add', name, item });
  }

  replace(name: string, item: NewItem, cas: Cas): Promise<Outcome<Cas>> {
    return this.#store({ command: 'replace', name, item, cas });
  }

  delete(name: string, cas: Cas): Promise<Outcome<void>> {
    return this.#send({ command: 'delete', name, cas });
  }

  bump(name: string, cas: Cas): Promise<Outcome<Cas>> {
    const bumping = this.#send<Cas>({ command: 'bump', name, cas });
    return this.#options.protocol === 'binary' ? bumping : this.#marked(name, bumping);
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
    const cause = ended(code);
    for (const { settle } of this.outstanding.splice(0)) settle({ kind: 'unknown', cause });
    this.#resolveEnded();
  }

  #store(storing: Storing): Promise<Outcome<Cas>> {
    const { protocol, lockChosen } = this.#options;
    const { isLast = false, chosenCas } = storing.item;
    const isCopied = storing.item.isCopied === true && protocol === 'meta';
    const isChosen = chosenCas !== undefined;
    if (isChosen) lockChosen();
    const request = { ...storing, item: { ...storing.item, isCopied } };
    const stored = this.#send<Cas>(request);
    const isOne = protocol === 'binary' || isCopied || isLast || isChosen;
    return isOne ? stored : this.#standing(request, stored);
  }

  /** A classic store, and a get behind it that tells the CAS. */
  async #standing({ name, item }: Storing, storing: Promise<Outcome<Cas>>): Promise<Outcome<Cas>> {
    const [stored, found] = await Promise.all([storing, this.get(name)]);
    if (stored.kind === 'unknown' || found.kind === 'unknown')
      return stored.kind === 'unknown' ? stored : (found as Outcome<never>);
    const standing = found.kind === 'done' ? found.value : undefined;
    if (stored.kind === 'refused')
      return stored.reason === 'exists' && standing !== undefined ? refusedFor(standing) : stored;
    const isOurs = standing?.flags === item.flags && standing.value.equals(item.value);
    // Not the CAS that it has now: somebody may have bumped it in between (the real engine knows by a mark).
    if (standing !== undefined && isOurs) return stored;
    this.end('MEMCACHED_CLOSED');
    return { kind: 'unknown', cause: ended() };
  }

  /** A bump, and a get behind it that tells the CAS if it is the first one since. */
  async #marked(name: string, bumping: Promise<Outcome<Cas>>): Promise<Outcome<Cas>> {
    const [bumped, found] = await Promise.all([
      bumping,
      this.#send<Cas>({ command: 'look', name }),
    ]);
    return bumped.kind === 'done' ? found : bumped;
  }

  #send<T>(request: MemcachedRequest): Promise<Outcome<T>> {
    assert(!('cas' in request) || request.cas !== 0n, 'a condition on CAS 0, which is none');
    if (!this.alive) return Promise.resolve({ kind: 'refused', reason: 'not-sent' });
    const round = this.#options.round();
    return new Promise((resolve) => {
      const settle = resolve as (outcome: Outcome<unknown>) => void;
      this.outstanding.push({ request, round, settle });
    });
  }
}

function ended(code: 'MEMCACHED_CLOSED' | 'MEMCACHED_TIMED_OUT' = 'MEMCACHED_CLOSED'): TorilError {
  return new TorilError(code, 'the explored connection ended');
}

/** Connects whenever somebody asks: a server out of reach differs in nothing from a slow one. */
export class ExploredServer implements MemcachedServer {
  readonly address = 'explored:11211';
  readonly trouble = undefined;
  readonly facts: ServerFacts;
  readonly #options: LinkOptions;
  /** The last connection, which may have ended. */
  last: ExploredConnection | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.facts = {
      ...{ version: 'explored', protocol: 'memory', itemSizeMax: 1024 * 1024 },
      ...{ flagsBytes: FLAGS_BYTES, casByUs: options.locks === 'cas' },
    };
  }

  get current(): ExploredConnection | undefined {
    return this.last?.alive === true ? this.last : undefined;
  }

  connection(): Promise<Connection> {
    if (this.current === undefined) {
      this.last = new ExploredConnection((this.last?.epoch ?? 0) + 1, this.#options);
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
  readonly #round: () => number;
  #whenAnswered: () => void = () => {};

  /** @param round in whose course something is sent (worker-rounds.ts) */
  constructor(round: () => number) {
    this.#round = round;
  }

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

  /** How the job has left its lane; empty: it has not. */
  async deliver(jobId: string): Promise<string> {
    return (await this.#call<{ outcome: string }>({ script: 'deliver', jobId })).outcome;
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

  noteSurvived(): never {
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

  /** All have entered with their adds. */
  enterJoint(): never {
    throw notExplored();
  }

  acknowledgeJoint(commit: JointCommit): Promise<Acknowledged> {
    return this.#call({ script: 'acknowledgeJoint', commit: { ...commit, paceMs: 0 } });
  }

  settled(token: number): Promise<void> {
    return this.#call({ script: 'settled', token });
  }

  /** A sweep asks for all, and is never told: each job has a worker here that waits for its commit's cells. */
  behind(token?: number): Promise<BehindCommit[]> {
    if (token === undefined) return new Promise(() => {});
    return this.#call({ script: 'behind', token });
  }

  /** Resolves when all calls are answered. */
  async idle(): Promise<void> {
    while (this.outstanding.length > 0)
      await new Promise<void>((resolve) => void (this.#whenAnswered = resolve));
  }

  noteWait(): never {
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
    this.#whenAnswered();
  }

  #call<Reply>(request: RedisRequest): Promise<Reply> {
    const round = this.#round();
    return new Promise((resolve) => {
      this.outstanding.push({ request, round, settle: resolve as (reply: unknown) => void });
    });
  }
}

function notExplored(): Error {
  return new Error('no part of the protocol that is searched');
}
