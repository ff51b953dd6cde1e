/**
 * What Toril knows of what BullMQ keeps for itself: the one place with its numbers, its names and its scripts. Read
 * README.md beside this file before BullMQ is upgraded.
 *
 * With these scripts, Toril may do by itself what they do (*imitated*). With any other (`known-bullmq.ts`), nothing of BullMQ's is written
 * but by BullMQ's own scripts, and what they cannot do is not done:
 *
 *   completing and fetching      one job per call; together with a commit not at all
 *   snoozing ahead                not: jobs of a slow lane are delivered, and snoozed one by one
 *   delivering a lane's head     as soon as BullMQ comes to it; a head that is snoozed is promoted, one with a priority loses it
 *   waking what was decided      a call of its own for each snoozed job that somebody's batch has applied
 *   Redis' time                  BullMQ's scripts are told the time of the machine that calls them
 *   a delivery ends in snoozing  it counts for the rate limit; it is noted in a script of its own that it was no start
 *   a script stopped half-way    its job is not put back: if it is in no list, it stays so, with its outcome in its hash
 *   late copies                  of what ended a delivery may end the job's next one, or that of a new job of its id (timed.ts)
 *   deduplication that replaces  may replace a snoozed job: it is told as missing
 *   schedulers                   with one, or when it is set up anew, its last job is deleted though it has begun
 *
 * What stays exact without all of this: a job's outcome is a field of Toril's in its hash, written with the acknowledgement, and asked for
 * at each delivery; so what is completed, retried, snoozed or lost wrongly is delivered once more at worst, never applied once more.
 */

/** BullMQ versions whose scripts were tried. */
export const TRIED_VERSIONS = ['6.7.0'] as const;

/** SHA-1 of the text of each script that is imitated, carried out within ours, or relied on. */
export const SCRIPTS = {
  // Carried out word for word within ours: without them nothing works
  addStandardJob: '5ab432e88830d573e2fa33392ffbd4ad25a9b100',
  addPrioritizedJob: '299880da0f75f0b376ee8e87d20eae62f964ac5e',
  addDelayedJob: '81698fd2d28e7db1787595b3c464b188fa78bdcf',
  addParentJob: 'eaec2bf999eb280c6bd0e77a158faf01d265e926',
  removeJob: '574af105e7df948fdf7e5410f3190a87f037d7f3',
  moveToDelayed: '9f83944d6edafd63c74121d73299dd3358ddfe0c',
  moveJobFromActiveToWait: '2f746a769bc3d182a0f73ace6bb7a4906faf5df9',
  cleanJobsInSet: 'd4b4530a1de226c532b5256e3dafa5cdc1641a6a',
  moveJobsToWait: 'bc8c0fb293881a6f07cd03407410bf7bcbc818e4',
  removeJobScheduler: 'b68502558f85f3bf9c5d6b25b1b44e2fcc5d4c92',
  // The same, told Redis' time
  moveToActive: 'd96ca626f1ea141b44a856b312fc636d99aa9ea9',
  moveToFinished: '69666e69dd5621df59067a03de685e55a486560d',
  moveToWaitingChildren: 'bbb6163481b4e25994b9f80db2d210c99d15e12b',
  retryJob: '812d06de3eaf0fb70e333b3d0142eed8bf630a2d',
  changeDelay: 'de220c4e0e17e976d762e5c2aa0b5015ea32cb50',
  addJobScheduler: '373dd5ff5b300deb3d6cd7e867c4b68023871d82',
  updateJobScheduler: '4da21b4a6efa92d4c0bdfc40e803ecc1e9ab4eb5',
  // Imitated
  promote: '1d740f19fe984343737df70206877be7cbab6913',
  // Relied on: what they leave behind, or answer
  moveStalledJobsToWait: '1e9bb7deb6219644a634d32c430ce15ed39a377e',
  extendLocks: 'c35baf769e5dc3d9194b2bceca04ab59f7c510f7',
  isFinished: '33f7e6ddf1cc5ff38caa5f4335c04401215c0390',
  changePriority: '35fbc2569911c2b95dd1f91d11f517607623ca02',
  drain: '2e3d2277043ce9692d0dd5e509ddb1ce487a617f',
  getState: '3e90cb3738218db992d1a8240931632ea9b50cfe',
  getStateV2: '5e107aa7dd123c4a80fc40151f8d25596c39353a',
  obliterate: 'b5e55563e8084314227a6512b49bbe089f31c6a1',
  reprocessJob: '1323ff649a78371c602a52252e61dc9f2fdfe36d',
  removeOrphanedJobs: 'cc9ac326ca56ab0c0d67615b0ed1230b49161753',
} as const;

export type BullScriptName = keyof typeof SCRIPTS;

/** Without these a queue cannot add or remove a job, nor a worker work. */
export const INDISPENSABLE: readonly BullScriptName[] = [
  ...(['addStandardJob', 'addPrioritizedJob', 'addDelayedJob', 'addParentJob'] as const),
  ...(['removeJob', 'moveToDelayed', 'moveJobFromActiveToWait'] as const),
];

/** Fields of a job's hash; those with short names, and in Lua by their names as they are: see NAMES. */
export const FIELD = {
  attemptsMade: 'atm',
  attemptsStarted: 'ats',
  stalls: 'stc',
  processedBy: 'pb',
  deduplicationId: 'deid',
  deferredFailure: 'defa',
} as const;

/** The delayed set's scores: when a job is due, in milliseconds, times this; below it, they count. */
export const SCORE_PER_MS = 4096;
/** The prioritized set's scores: the priority times this; below it, they count. */
export const SCORE_PER_PRIORITY = 0x1_0000_0000;

/** With which numbers BullMQ's scripts say no. */
export const CODE = {
  jobMissing: -1,
  lockMissing: -2,
  notInState: -3,
  pendingChildren: -4,
  parentMissing: -5,
  ofScheduler: -8,
} as const;

/** How `isFinished` answers. */
export const FINISHED_AS = { missing: -1, completed: 1 } as const;

/** BullMQ's keys of a queue, below its prefix. */
export const KEYS: readonly string[] = [
  ...['active', 'completed', 'delayed', 'failed', 'paused', 'prioritized', 'wait'],
  ...['waiting-children', 'stalled', 'stalled-check', 'id', 'pc', 'marker', 'meta', 'events'],
  ...['limiter', 'repeat', 'de', 'dn', 'metrics'],
];

/** Below a job's key, and a colon. */
export const JOB_KEYS: readonly string[] = [
  ...['lock', 'logs', 'dependencies', 'processed', 'failed', 'unsuccessful'],
];

/**
 * All that Toril's scripts call by its name of what BullMQ keeps: keys below the prefix, keys below a job's, fields of
 * a job's hash, fields of the queue's `meta`. Each of them must occur in BullMQ's own scripts.
 */
export const NAMES: Readonly<Record<'keys' | 'jobKeys' | 'fields' | 'meta', readonly string[]>> = {
  keys: [
    ...['active', 'completed', 'delayed', 'events', 'failed', 'id', 'limiter', 'marker', 'meta'],
    ...['paused', 'pc', 'prioritized', 'repeat', 'stalled', 'wait', 'waiting-children'],
  ],
  jobKeys: JOB_KEYS,
  fields: [
    ...Object.values(FIELD),
    ...['name', 'data', 'opts', 'timestamp', 'delay', 'priority', 'parentKey', 'parent'],
    ...['processedOn', 'finishedOn', 'returnvalue', 'failedReason'],
  ],
  meta: ['paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents'],
};

/**
 * How the worker's main loop names its slots: its id, a colon, a number that it counts up (`fast-path/slot-tokens.ts`). A job that a
 * scheduler made is called by the scheduler's id and the time (`adding/job-ids.ts`).
 */
export const SLOT_TOKEN: RegExp = /^(.*):(\d+)$/;
