/**
 * A stock client of BullMQ's, as a dashboard or a script of an operator's is: it knows nothing of Toril, and
 * removes, drains, cleans, retries, promotes and pauses at random. Whatever it has done is written down.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { Dice } from '../../simulation/dice.ts';
import type { Effect } from '../meddling.ts';
import { orders, ready, recorder, redisConnection, serve } from './orders.ts';
import { nowUs } from '../history.ts';

const PAUSE_MS = [5, 300] as const;
/** Jobs of each state that it chooses from. */
const LISTED = 30;
const STATES = ['wait', 'active', 'delayed', 'prioritized', 'completed', 'failed'] as const;
const CLEANED = ['wait', 'delayed', 'completed', 'failed', 'active', 'paused'] as const;
const CLEANED_MAX = 5;
const RESTED_MS = [5, 300] as const;

const dice = new Dice(orders.seed, orders.name);
const client = new Redis(redisConnection);
client.on('error', () => undefined);
/** Connections that have ended: what a call has done that was sent twice, its answer does not tell. */
let ended = 0;
client.on('close', () => ended++);
const queue = new Queue(orders.queue, { connection: client });
queue.on('error', () => undefined);

/** What a call did: to which jobs, unless that is not known. */
interface Done {
  readonly effect: Effect;
  readonly jobIds?: readonly string[];
  /** Only where it is not known to which. */
  readonly finished?: boolean;
}

const nothing: Done = { effect: 'nothing', jobIds: [] };

/** By name, and how often each in relation to the others. */
const CALLS: Record<string, readonly [share: number, act: () => Promise<Done>]> = {
  remove: [8, remove],
  'drain waiting': [1, () => drain(false)],
  'drain all': [1, () => drain(true)],
  clean: [4, clean],
  retry: [5, retry],
  retryJobs: [1, () => retryAll()],
  promote: [6, promote],
  promoteJobs: [2, promoteAll],
  changePriority: [3, prioritize],
  'pause and resume': [1, pauseAndResume],
  removeOrphanedJobs: [1, () => queue.removeOrphanedJobs().then(() => nothing)],
};
const choices = Object.entries(CALLS).flatMap(([name, [share, act]]) =>
  Array.from({ length: share }, () => ({ name, act })),
);

async function remove(): Promise<Done> {
  const job = await any(STATES);
  if (job?.id === undefined) return nothing;
  const before = ended;
  const removed = await queue.remove(job.id, { removeChildren: dice.chance(0.5) });
  return removed === 0 && ended === before ? nothing : { effect: 'removed', jobIds: [job.id] };
}

async function drain(delayed: boolean): Promise<Done> {
  await queue.drain(delayed);
  return { effect: 'removed', finished: false };
}

async function clean(): Promise<Done> {
  const before = ended;
  const jobIds = await queue.clean(
    dice.pick([0, 200, 2_000]),
    CLEANED_MAX,
    dice.pick([...CLEANED, 'completed', 'failed'] as const),
  );
  return ended === before ? { effect: 'removed', jobIds } : { effect: 'removed', finished: true };
}

async function retry(): Promise<Done> {
  const state = dice.pick(['completed', 'failed']);
  const job = await any([state]);
  if (job?.id === undefined) return nothing;
  await job.retry(state).catch(() => undefined); // somebody was faster
  return { effect: 'retried', jobIds: [job.id] };
}

async function retryAll(): Promise<Done> {
  await queue.retryJobs({ state: 'failed' });
  return { effect: 'failures retried', finished: true };
}

async function promote(): Promise<Done> {
  const job = await any(['delayed']);
  if (job?.id === undefined) return nothing;
  await job.promote().catch(() => undefined);
  return { effect: 'promoted', jobIds: [job.id] };
}

async function promoteAll(): Promise<Done> {
  await queue.promoteJobs();
  return { effect: 'promoted', finished: true };
}

async function prioritize(): Promise<Done> {
  const job = await any(['wait', 'prioritized', 'delayed']);
  await job?.changePriority({ priority: dice.below(4) }).catch(() => undefined);
  return nothing;
}

async function pauseAndResume(): Promise<Done> {
  await queue.pause();
  await sleep(dice.magnitude(...RESTED_MS));
  await queue.resume();
  return nothing;
}

async function any(states: readonly (typeof STATES)[number][]): Promise<Job | undefined> {
  const jobs = await queue.getJobs([dice.pick(states)], 0, LISTED);
  // Hashes that are gone are listed as nothing.
  const there = jobs.filter((job) => job !== undefined);
  return there.length === 0 ? undefined : dice.pick(there);
}

/** BullMQ's own refusals have a number; Redis may have refused half-way. */
function refused(thrown: { readonly code?: unknown }): Done {
  return typeof thrown.code === 'number' ? nothing : { effect: 'removed', finished: true };
}

let isResting = true;
let running: Promise<void> = Promise.resolve();

async function meddle(): Promise<void> {
  while (!isResting) {
    const { name, act } = dice.pick(choices);
    const sinceUs = nowUs();
    const { finished = false, ...done } = await act().catch(refused);
    recorder.note({ e: 'meddled', call: name, sinceUs, finished, ...done });
    await sleep(dice.magnitude(...PAUSE_MS));
  }
}

serve(async (order) => {
  if (order === 'go') {
    isResting = false;
    running = meddle();
  }
  if (order === 'rest' || order === 'close') {
    isResting = true;
    await running;
  }
  if (order === 'close') {
    await queue.close();
    client.disconnect();
  }
});
ready();
