/** What guards and faults are called on the page, and what they mean. */
import type { FaultKind } from '../../test/simulation/faults.ts';

export interface Guard {
  readonly label: string;
  /** What is done without it. */
  readonly meaning: string;
}

/** By the names that `canaries.ts` has for them. */
export const GUARDS: Readonly<Record<string, Guard>> = {
  'no CAS on cells': {
    label: 'CAS on cells',
    meaning:
      'memcached accepts every write of a cell, also one that was computed from a value that is no longer there.',
  },
  'no condition on acknowledge': {
    label: "Redis's condition on a commit",
    meaning: 'Redis accepts every commit, whatever it was built on.',
  },
  'complete before acknowledge': {
    label: 'acknowledge, then complete',
    meaning: 'A job is completed before Redis has accepted its commit.',
  },
  'no outcome in the job': {
    label: 'the outcome in the job',
    meaning: "A job that was applied in somebody else's batch does not know it.",
  },
  'tokens that do not grow': {
    label: 'growing fencing tokens',
    meaning: 'Each lease gets a number that may be lower than that of an earlier lease.',
  },
  "times by the worker's clock": {
    label: "times by Redis's clock",
    meaning: 'What is written into Redis has the time of the worker, whose clock may be wrong.',
  },
  'SET for REPLACE': {
    label: 'REPLACE instead of SET',
    meaning:
      'A write that finds no room deletes the value that stands there. Durable copies are off, since they would make up for it.',
  },
  'late jobs without a name': {
    label: 'names of late jobs',
    meaning:
      'A commit does not name the jobs that entered their lane late, and a promoted replica has forgotten how they came there.',
  },
  'no names of data sets': {
    label: 'names of data sets',
    meaning: 'A cell does not say which Redis data set its numbers are from.',
  },
};

export const FAULTS: Readonly<Record<FaultKind, string>> = {
  pause: 'a worker stands still for a while',
  crash: 'a worker is killed',
  shutdown: 'a worker is shut down in order',
  cut: 'a connection to memcached breaks',
  silence: 'it breaks without a sign',
  deafness: 'its replies do not arrive',
  delay: 'requests or replies take long',
  partition: 'a worker cannot reach memcached',
  'foreign-write': 'somebody else writes over a cell',
  'evict-cell': 'a cell is evicted',
  'evict-lock': 'a lock is evicted',
  'flush-all': 'memcached is flushed',
  'memcached-restart': 'memcached is restarted',
  'memcached-pause': 'memcached stands still',
  'memcached-full': 'memcached has no room',
  'redis-disconnect': 'a connection to Redis breaks; calls are repeated',
  'redis-failure': 'a connection to Redis breaks; calls fail, carried out or not',
  'redis-delay': 'Redis is slow',
  stall: 'BullMQ takes a job for stalled, and delivers it again',
  'wall-clock': 'a clock is set',
  'redis-refuses': 'Redis refuses every write',
  'other-data-set': 'another Redis begins a cell of the same name',
  'stock-client': 'a plain BullMQ client drains, cleans or promotes',
  operator: 'somebody pauses the queue, or removes, retries or skips jobs',
  'redis-promotes': 'a replica that has missed something becomes Redis',
};
