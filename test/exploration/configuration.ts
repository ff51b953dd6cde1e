/** What is searched: which path, how many workers, which faults. */
import { CELL_FLAGS, encodeEnvelope } from '../../src/cells/envelope.ts';
import type { JointCommit } from '../../src/jobs/joint-lanes.ts';
import type { Acknowledgement } from '../../src/jobs/lanes.ts';
import type { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import type { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { NewItem } from '../../src/memcached/server.ts';
import { Canonical } from './canonical.ts';
import { Checks } from './checks.ts';
import { FreshStarts } from './fresh-starts.ts';
import { JointChecks } from './joint-checks.ts';
import { Looks } from './looks.ts';
import { MemcachedStates } from './memcached-states.ts';
import { RedisStates } from './redis-states.ts';
import { Vocabulary } from './requests.ts';
import { firstState, type State } from './state.ts';
import type { World } from './world.ts';
import { DATA_SET, KEY, KEYS, keysOfJob, QUEUE } from './worker-plan.ts';
import type {
  Endings,
  LockForm,
  Path,
  Pauses,
  Shared,
  WireProtocol,
  WorkerDamage,
  WorkerPlan,
} from './worker-plan.ts';
import { WorkerTree } from './worker-tree.ts';

export interface Configuration {
  readonly path: Path;
  readonly workers: number;
  readonly jobs: number;
  /** Jobs per commit at most; 1: and one commit per lease. */
  readonly batch: number;
  /** How often the first worker's user wants something written, and each other one's (`lease`). */
  readonly commits: number;
  readonly others: number;
  /** How often the length of a lease passes for a worker. */
  readonly expiries: number;
  readonly renewals: number;
  readonly evictions: number;
  readonly restarts: number;
  readonly timeouts: number;
  readonly crashes: number;
  readonly refusals: number;
  /** How many of all kinds in one way at most. */
  readonly faults: number;
  /** `apart`: each worker's time passes by itself; `step`: for all at once. */
  readonly clocks: 'apart' | 'step';
  /** Whether there is a value from the beginning. */
  readonly cell: 'present' | 'missing';
  readonly protocol: WireProtocol;
  /** `cas`: only with `meta`. */
  readonly locks: LockForm;
  readonly shared: Shared;
  readonly pauses: Pauses;
  readonly endings: Endings;
}

/** Each has a budget of its own. */
export const FAULT_KINDS = [
  'expiries',
  'renewals',
  'evictions',
  'restarts',
  'timeouts',
  'crashes',
  'refusals',
] as const;

export const NO_FAULTS: Omit<Configuration, 'path'> = {
  workers: 2,
  jobs: 2,
  batch: 500,
  commits: 1,
  others: 1,
  expiries: 0,
  renewals: 0,
  evictions: 0,
  restarts: 0,
  timeouts: 0,
  crashes: 0,
  refusals: 0,
  faults: 9,
  clocks: 'apart',
  cell: 'present',
  protocol: 'binary',
  locks: 'value',
  shared: 'first',
  pauses: 'looks',
  endings: 'all',
};

/** A guard taken away. */
export interface Damage extends WorkerDamage {
  readonly store?: (store: MemoryStore) => void;
  readonly jobs?: (jobs: MemoryJobs) => void;
}

const NAMES = ['A', 'B', 'C', 'D'];
/** How often a user of the strict lock tries again after an error. */
const FURTHER_CALLS_MAX = 1;

/** Must be called from a macrotask: the workers are started, and promises drained. */
export function worldOf(
  configuration: Configuration,
  damage: Damage = {},
): { readonly world: World; readonly first: State } {
  const { path, workers, jobs, batch, commits, others, clocks, cell, protocol, locks, shared } =
    configuration;
  const { expiries, renewals, evictions, restarts, timeouts, crashes, refusals, faults } =
    configuration;
  const { store = () => {}, jobs: damageJobs = () => {} } = damage;
  const vocabulary = new Vocabulary();
  const inStep = clocks === 'step';
  const earlierJobs = cell === 'present' && path !== 'lease' ? 1 : 0;
  const lanesOf = (jobId: string): readonly string[] =>
    path === 'joint' ? keysOfJob(jobId, earlierJobs, shared) : [KEY];
  const commitsOf = (index: number): number => (index === 0 ? commits : others);
  const planOf = (index: number, suffix: string): WorkerPlan => ({
    ...{ path, protocol, locks },
    name: `${NAMES[index]}${suffix}`,
    ...jobOf(String(earlierJobs + (index % jobs) + 1), lanesOf),
    batchJobsMax: batch,
    commits: commitsOf(index),
    callsMax: commitsOf(index) + FURTHER_CALLS_MAX,
    idsDrawn: 0,
    abandoned: [],
    callsMade: 0,
    outcome: '',
  });
  const indices = Array.from({ length: workers }, (_, index) => index);
  const memcached = new MemcachedStates(vocabulary, protocol, store);
  const allJobs = path === 'lease' ? 0 : earlierJobs + jobs;
  const redis = new RedisStates(vocabulary, allJobs, lanesOf, damageJobs);
  const workerTree = new WorkerTree(vocabulary, damage);
  const world: World = {
    vocabulary,
    memcached,
    redis,
    workers: workerTree,
    canonical: new Canonical({ vocabulary, memcached, redis, workers: workerTree }),
    freshStarts: new FreshStarts(vocabulary, workerTree),
    looks: new Looks(vocabulary),
    checks: path === 'joint' ? new JointChecks(allJobs, lanesOf) : new Checks(path, inStep),
    comparesCas: damage.store === undefined,
    successors: indices.map((index) => planOf(index, 'x')),
    inStep,
    pauses: configuration.pauses,
    endings: configuration.endings,
    faults,
  };
  const nodes = indices.map((index) => world.workers.start(planOf(index, '')));
  const budget = {
    expiries,
    renewals,
    evictions,
    restarts,
    timeouts,
    crashes,
    refusals,
    faults,
  };
  const first = firstState(
    world.memcached.start(cell === 'missing' ? [] : earlierCells(path)),
    world.redis.start(path === 'lease' || cell === 'missing' ? undefined : earlierCommit(path)),
    nodes,
    budget,
  );
  return { world, first };
}

/** Job 1 was applied before the search begins. Its sequence is 1, too, and no token was drawn yet. */
const EARLIER = {
  token: 1,
  base: 0,
  watermark: 1,
  expireMs: 0,
  decisions: new Map<string, string>(),
  dataSet: DATA_SET,
};

function jobOf(
  jobId: string,
  lanesOf: (jobId: string) => readonly string[],
): Pick<WorkerPlan, 'jobId' | 'keys'> {
  return { jobId, keys: lanesOf(jobId) };
}

function earlierCells(path: Path): NewItem[] {
  const isLease = path === 'lease';
  const value = encodeEnvelope({
    ...EARLIER,
    watermark: isLease ? 0 : EARLIER.watermark,
    token: isLease ? 0 : EARLIER.token,
    queue: isLease ? '' : QUEUE,
    ...(path === 'joint' && { base: EARLIER.token, keys: KEYS }),
    valueJson: isLease ? '["earlier"]' : '[1]',
  });
  const keys = path === 'joint' ? KEYS : [KEY];
  return keys.map(() => ({ value, flags: CELL_FLAGS, ttlSeconds: 0 }));
}

function earlierCommit(path: Path): Acknowledgement | JointCommit {
  const { token, watermark, dataSet, base } = EARLIER;
  const value = { json: '[1]' };
  if (path !== 'joint') return { ...EARLIER, key: KEY, decided: 1, value, paceMs: 0 };
  const of = { base, watermark, value, jobIds: ['1'], expireMs: 0, history: undefined };
  const keys = KEYS.map((key) => ({ ...of, key }));
  return { at: KEY, token, dataSet, keys, decisions: new Map([['1', 'a']]), paceMs: 0 };
}
