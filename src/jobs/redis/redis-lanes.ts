/** The lanes in Redis, beside BullMQ's own keys. Each transition is one script of scripts/. */
import { Gather, type GatherOptions } from '../../base/gather.ts';
import type { Clock } from '../../base/clock.ts';
import { redisFailed } from '../../errors.ts';
import { type DataSet, readDataSet } from '../../redis/data-set.ts';
import { ownPrefixOf } from '../../redis/own-keys.ts';
import { systemRandom } from '../../base/random.ts';
import type {
  Acknowledged,
  Acknowledgement,
  Lanes,
  LaneSight,
  LaneState,
  Location,
  StandingLane,
  Taken,
  TakeRequest,
} from '../lanes.ts';
import { answersIn, type Finisher } from '../bullmq/fast-path/finisher.ts';
import { acknowledgeArguments, copyOf, takeArguments, takenOf } from './redis-lane-messages.ts';
import { ACKNOWLEDGE } from './scripts/acknowledge.ts';
import { DIRECT, LOCATE } from './scripts/locate.ts';
import { START_ALONE } from './scripts/start-alone.ts';
import { INSPECT } from './scripts/inspect.ts';
import { Packing, Unpacking } from './scripts/packing.ts';
import { RENUMBER } from './scripts/renumber.ts';
import { PUT_BACK } from '../bullmq/state/remove.ts';
import { LOOK_AT, SWEEP, UNAPPLIED } from './scripts/sweep.ts';
import type { Script } from './scripts/script.ts';
import { TAKE, type TakeReply } from './scripts/take.ts';

/** What the lanes need of a Redis client; BullMQ's own abstraction fits, whatever the driver. */
export interface ScriptClient {
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void;
  runCommand(name: string, args: unknown[]): Promise<unknown>;
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<unknown>;
  del(...keys: string[]): Promise<number>;
  scan(cursor: string, options: { MATCH: string; COUNT: number }): Promise<[string, string[]]>;
}

/** Keys per script call: at least, and at most, so that no script blocks Redis for long. */
const KEYS_PER_CALL = { min: 8, max: 22 };
/** Entries of a lane that are looked at in one call. */
const ENTRIES_PER_SWEEP = 1_000;
/** Keys that a scan looks at in one call. */
const KEYS_PER_SCAN = 500;

const NONE: readonly never[] = [];
const ANSWERS = {
  '1': { accepted: true },
  '2': { accepted: true, missing: true },
  '0': { accepted: false },
  b: { accepted: false, wentBack: true },
} as const satisfies Record<string, Acknowledged>;

/** Completed jobs that one look for those never applied takes in. */
const COMPLETED_PER_LOOK = 200;
const SIGHTS: Readonly<Record<string, LaneSight>> = {
  s: 'stands',
  r: 'released',
  m: 'moved-on',
};

/** What lanes know of the worker that they serve. */
export interface LanesOfWorker {
  /** Its jobs are completed in the step that acknowledges their commit. */
  readonly finisher: () => Finisher | undefined;
  /** Jobs that it works on at once. */
  readonly concurrency: number;
  /** Jobs of its commits were decided, some of which may be snoozed. */
  readonly decided?: () => void;
}

const OF_NO_WORKER: LanesOfWorker = {
  finisher: () => undefined,
  concurrency: Number.POSITIVE_INFINITY,
};

/** What a destroyed queue leaves: the list of servers, since the cells stay, and what tells calls of producers that come again. */
const STAYS = /^(memcached$|producer:)/;

export class RedisLanes implements Lanes {
  readonly #client: Promise<ScriptClient>;
  readonly #prefix: string;
  /** Of Toril's own keys. */
  readonly #own: string;
  readonly #finisher: () => Finisher | undefined;
  readonly #decided: (() => void) | undefined;
  readonly #take: Gather<TakeRequest, Taken>;
  readonly #acknowledge: Gather<Acknowledgement, Acknowledged>;
  readonly #locate: Gather<{ key: string; jobId: string }, Location>;
  /** For a data set that has no name yet. */
  #candidate = systemRandom.id();
  /** As Redis told it last, and what it means. */
  #dataSetText = '';
  #dataSet: DataSet = readDataSet('');

  /** @param prefix of the queue's Redis keys, with the colon at its end (`bull:orders:`) */
  constructor(
    client: Promise<ScriptClient>,
    prefix: string,
    clock: Clock,
    { finisher, concurrency, decided }: LanesOfWorker = OF_NO_WORKER,
  ) {
    const perCall = perCallOf(concurrency);
    this.#prefix = prefix;
    this.#own = ownPrefixOf(prefix);
    this.#finisher = finisher;
    this.#decided = decided;
    this.#client = client.then((ready) => defineScripts(ready));
    this.#client.catch(() => undefined); // each call reports it
    this.#take = new Gather(clock, perCall, (requests) => this.#takeMany(requests));
    this.#acknowledge = new Gather(clock, perCall, (commits) => this.#acknowledgeMany(commits));
    this.#locate = new Gather(clock, perCall, (jobs) => this.#locateMany(jobs));
  }

  take(request: TakeRequest): Promise<Taken> {
    return this.#take.call(request);
  }

  acknowledge(commit: Acknowledgement): Promise<Acknowledged> {
    return this.#acknowledge.call(commit);
  }

  locate(key: string, jobId: string): Promise<Location> {
    return this.#locate.call({ key, jobId });
  }

  async putBack(key: string, token: number): Promise<void> {
    await this.#run(PUT_BACK, [], [key, token]);
  }

  async startAlone(jobId: string, token: number, survived: readonly number[]): Promise<number> {
    return Number(await this.#run(START_ALONE, [], [jobId, token, survived.join(' ')]));
  }

  async direct(jobId: string, directive: 'skip' | 'drop'): Promise<boolean> {
    return (await this.#run(DIRECT, [], [jobId, directive])) === 1;
  }

  async overwriteCopy(commit: Acknowledgement): Promise<void> {
    const packing = new Packing();
    const args = packing.arguments([0, acknowledgeArguments(commit, 'any', packing)]);
    await this.#run(ACKNOWLEDGE, [`${this.#prefix}delayed`], args);
  }

  async renumber(key: string, above: number): Promise<void> {
    await this.#run(RENUMBER, [], [key, above]);
  }

  async registerServers(fingerprint: string): Promise<string> {
    const client = await this.#client;
    const key = `${this.#own}memcached`;
    const registered = await client.get(key);
    if (registered !== null) return registered;
    await this.#run(REGISTER, [key], [fingerprint]);
    return (await client.get(key)) ?? fingerprint;
  }

  /** The fingerprint that is registered, without registering one. */
  async registeredServers(): Promise<string | undefined> {
    return (await (await this.#client).get(`${this.#own}memcached`)) ?? undefined;
  }

  async replaceServers(fingerprint: string): Promise<void> {
    await (await this.#client).set(`${this.#own}memcached`, fingerprint);
  }

  async inspect(key: string, jobsMax: number): Promise<LaneState> {
    const args = [key, jobsMax, this.#candidate];
    const reply = (await this.#run(INSPECT, [], args)) as [
      string,
      string,
      string,
      string,
      number,
      string,
      string[],
      string,
      string,
    ];
    const [token, watermark, value, cascadeTo, length, pace, head, dataSet, next] = reply;
    const jobs = [];
    for (let i = 0; i < head.length; i += 2) {
      jobs.push({ jobId: head[i] as string, sequence: Number(head[i + 1]) });
    }
    return {
      copy: copyOf(token, watermark, value, cascadeTo),
      length,
      paceMs: Number(pace),
      head: jobs,
      dataSet: this.#dataSetOf(dataSet),
      nextToken: Number(next),
    };
  }

  /**
   * Takes entries out of all lanes whose jobs BullMQ has removed, so that nothing stays behind in
   * Redis. Returns the first jobs of lanes that have lost theirs: nothing holds them up any more.
   */
  async sweep(): Promise<string[]> {
    const heads: string[] = [];
    const sweep = async (from: number, lanes: readonly string[]): Promise<void> => {
      const reply = await this.#run(SWEEP, [], [from, ENTRIES_PER_SWEEP, ...lanes]);
      const [found, more] = reply as [string[], (string | number)[]];
      heads.push(...found);
      for (let i = 0; i < more.length; i += 2) await sweep(Number(more[i + 1]), [String(more[i])]);
    };
    for await (const lanes of this.#scan('lane:*')) await sweep(0, lanes);
    return heads;
  }

  async lookAt(standing: readonly StandingLane[]): Promise<LaneSight[]> {
    const args = standing.flatMap(({ key, jobId }) => [key, jobId]);
    const letters = (await this.#run(LOOK_AT, [], args)) as string;
    return Array.from(letters, (letter) => SIGHTS[letter] as LaneSight);
  }

  /** A stretch at a time: keys of lanes whose first job is gone, or was completed though it is still there. */
  async *released(): AsyncGenerator<string[]> {
    const { length } = `${this.#own}lane:`;
    for await (const lanes of this.#scan('lane:*')) {
      const keys = [...new Set(lanes.map((lane) => lane.slice(length)))];
      const sights = await this.lookAt(keys.map((key) => ({ key, jobId: '' })));
      yield keys.filter((_, at) => sights[at] === 'released');
    }
  }

  /**
   * Of the newest completed jobs, those that were never applied.
   * @param since what was returned before; undefined: only from now on
   */
  async unapplied(since?: string): Promise<{ since: string; jobIds: string[] }> {
    const reply = await this.#run(UNAPPLIED, [], [since ?? '', COMPLETED_PER_LOOK]);
    const [until, ...jobIds] = reply as [string, ...string[]];
    return { since: until, jobIds };
  }

  /** Whether nobody has done this, whatever it is, within the last milliseconds. */
  async claim(what: string, ms: number): Promise<boolean> {
    return (await this.#run(CLAIM, [`${this.#own}claim:${what}`], [ms])) === 1;
  }

  /**
   * Deletes what the queue knows of its keys. The sequence begins anew from the time, past all that was drawn; the
   * list of memcached servers stays, since the cells do, unless it shall go `toTheLastKey`. They belong to a data set
   * that is no more: a key that is used again stops with REDIS_WENT_BACK.
   */
  async destroy({ toTheLastKey = false }: { toTheLastKey?: boolean } = {}): Promise<void> {
    const client = await this.#client;
    const stays = (key: string): boolean => STAYS.test(key.slice(this.#own.length));
    for await (const keys of this.#scan('*')) {
      const going = toTheLastKey ? keys : keys.filter((key) => !stays(key));
      if (going.length > 0) await client.del(...going);
    }
  }

  async *#scan(pattern: string): AsyncGenerator<string[]> {
    const client = await this.#client;
    const match = this.#own.replace(/[\\*?[\]]/g, String.raw`\$&`) + pattern;
    let cursor = '0';
    do {
      const [next, keys] = await client.scan(cursor, { MATCH: match, COUNT: KEYS_PER_SCAN });
      if (keys.length > 0) yield keys;
      cursor = next;
    } while (cursor !== '0');
  }

  async #takeMany(requests: readonly TakeRequest[]): Promise<Taken[]> {
    const packing = new Packing();
    const args = packing.arguments([this.#candidate, ...requests.map(takeArguments)]);
    const keys = [`${this.#prefix}delayed`, `${this.#prefix}meta`];
    const reply = new Unpacking<[number, string, ...TakeReply[]]>(
      await this.#run(TAKE, keys, args),
    );
    const [restricted, dataSet, ...lanes] = reply.message;
    const together = { restricted: restricted === 1, dataSet: this.#dataSetOf(dataSet) };
    return lanes.map((lane) => takenOf(lane, together, reply));
  }

  #dataSetOf(text: string): DataSet {
    if (text === this.#dataSetText) return this.#dataSet;
    this.#dataSetText = text;
    this.#dataSet = readDataSet(text);
    // A Redis that is emptied later must not get the same name from us again.
    if (this.#dataSet.id === this.#candidate) this.#candidate = systemRandom.id();
    return this.#dataSet;
  }

  async #acknowledgeMany(commits: readonly Acknowledgement[]): Promise<Acknowledged[]> {
    const packing = new Packing();
    const finisher = this.#finisher();
    const completing = finisher?.argumentsWithCommits();
    const all = commits.map((commit) => acknowledgeArguments(commit, String(commit.base), packing));
    const keys = [`${this.#prefix}delayed`];
    const args = packing.arguments([completing ?? 0, ...all]);
    const reply = (await this.#run(ACKNOWLEDGE, keys, args)) as string;
    this.#decided?.();
    if (completing === undefined || !reply.startsWith('[')) return answersTo(commits, reply);
    const told = JSON.parse(reply) as unknown[];
    const letters = told.pop() as string;
    const deliveries = commits.flatMap(({ deliveries: some = NONE }) => some);
    finisher?.completed(completing, deliveries, answersIn(told));
    return answersTo(commits, letters);
  }

  async #locateMany(jobs: readonly { key: string; jobId: string }[]): Promise<Location[]> {
    const args = jobs.flatMap(({ key, jobId }) => [key, jobId]);
    const replies = (await this.#run(LOCATE, [], args)) as [string, ...(string | number)[]][];
    return replies.map(([kind, first, second]): Location => {
      if (kind === 'd') return { kind: 'decided', outcome: String(first) };
      if (kind === 'w') return { kind: 'waiting', rank: Number(first), paceMs: Number(second) };
      return { kind: 'absent' };
    });
  }

  async #run(
    script: Script,
    moreKeys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const all = [`${this.#own}sequence`, ...moreKeys, this.#prefix, ...args];
    try {
      const client = await this.#client;
      return await client.runCommand(script.name, all);
    } catch (thrown) {
      throw redisFailed(thrown); // here: what is thrown elsewhere is no fault of Redis
    }
  }
}

function answersTo(commits: readonly Acknowledgement[], letters: string): Acknowledged[] {
  return commits.map((_, at) => ANSWERS[letters[at] as keyof typeof ANSWERS]);
}

/**
 * One call of a kind at a time, for a third of the jobs (why: gather.ts): another third is with memcached, or
 * in this process. On different keys 8 % faster than two calls of 16 with 64 jobs at once, 12 % with 32.
 */
function perCallOf(concurrency: number): GatherOptions {
  const { min, max } = KEYS_PER_CALL;
  return { atMost: Math.max(min, Math.min(Math.ceil(concurrency / 3), max)), callsMax: 1 };
}

const REGISTER: Script = {
  name: 'torilRegister',
  numberOfKeys: 2,
  lua: `return redis.call('SETNX', KEYS[2], ARGV[2])`,
};

const CLAIM: Script = {
  name: 'torilClaim',
  numberOfKeys: 2,
  lua: `return redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) and 1 or 0`,
};

const SCRIPTS = [
  ...[TAKE, ACKNOWLEDGE, PUT_BACK, LOCATE, START_ALONE, DIRECT, INSPECT, REGISTER, RENUMBER, CLAIM],
  ...[SWEEP, LOOK_AT, UNAPPLIED],
];

function defineScripts(client: ScriptClient): ScriptClient {
  for (const { name, numberOfKeys, lua } of SCRIPTS)
    client.defineCommand(name, { numberOfKeys, lua });
  return client;
}
