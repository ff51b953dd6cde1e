/** What stays the same in all states of one search. */
import type { Canonical } from './canonical.ts';
import type { Checks } from './checks.ts';
import type { JointChecks } from './joint-checks.ts';
import type { FreshStarts } from './fresh-starts.ts';
import type { Looks } from './looks.ts';
import type { MemcachedStates } from './memcached-states.ts';
import type { RedisStates } from './redis-states.ts';
import type { Vocabulary } from './requests.ts';
import type { Endings, Pauses, WorkerPlan } from './worker-plan.ts';
import type { WorkerTree } from './worker-tree.ts';

export interface World {
  readonly vocabulary: Vocabulary;
  readonly memcached: MemcachedStates;
  readonly redis: RedisStates;
  readonly workers: WorkerTree;
  readonly checks: Checks | JointChecks;
  readonly canonical: Canonical;
  readonly freshStarts: FreshStarts;
  readonly looks: Looks;
  /** The server is as it should be, no canary. */
  readonly comparesCas: boolean;
  /** Plans of those who take a crashed worker's place, by worker. */
  readonly successors: readonly WorkerPlan[];
  /** Clocks run in step: a lease's length passes for all workers at once. */
  readonly inStep: boolean;
  readonly pauses: Pauses;
  readonly endings: Endings;
  /** How many may strike. */
  readonly faults: number;
}
