/** What is left when everything has drained, read from Redis itself by the names in docs/design.md. */
import type { Redis } from 'ioredis';
import { type Value, valueOf } from './history.ts';

export interface FinalJob {
  /** `waiting`: neither completed nor failed. */
  readonly state: 'completed' | 'failed' | 'waiting';
  readonly result?: Value | undefined;
  readonly reason: string;
  readonly attempts: number;
}

/** One entry of the queue's own history. */
export interface Commit {
  readonly key: string;
  readonly token: number;
  readonly base: number;
  /** Job ids, in order. */
  readonly applied: readonly string[];
}

export interface EndState {
  /** Jobs that BullMQ knows. */
  readonly jobs: ReadonlyMap<string, FinalJob>;
  /** The durable copies. */
  readonly copies: ReadonlyMap<
    string,
    { readonly token: number; readonly value: Value | undefined }
  >;
  readonly commits: readonly Commit[];
}

const PER_CALL = 1_000;

/** BullMQ's keys of a queue, and beside them Toril's. */
export const bullPrefix = (queue: string): string => `bull:${queue}:`;
export const ownPrefix = (queue: string): string =>
  `toril~${bullPrefix(queue).length}:${bullPrefix(queue)}`;

export async function readEndState(
  redis: Redis,
  queue: string,
  keys: readonly string[],
  jobIds: readonly string[],
): Promise<EndState> {
  const prefix = bullPrefix(queue);
  const own = ownPrefix(queue);
  const jobs = new Map<string, FinalJob>();
  for (let from = 0; from < jobIds.length; from += PER_CALL) {
    const some = jobIds.slice(from, from + PER_CALL);
    const pipeline = redis.pipeline();
    for (const id of some) {
      pipeline.hmget(prefix + id, 'timestamp', 'finishedOn', 'returnvalue', 'failedReason', 'atm');
    }
    const replies = (await pipeline.exec()) ?? [];
    some.forEach((id, at) => {
      const fields = replies[at]?.[1] as (string | null)[];
      if (fields[0] !== null) jobs.set(id, jobOf(fields));
    });
  }
  const copies = new Map<string, { token: number; value: Value | undefined }>();
  for (const key of keys) {
    const [token, value] = await redis.hmget(`${own}copy:${key}`, 't', 'v');
    if (token != null) copies.set(key, { token: Number(token), value: valueIn(value?.slice(1)) });
  }
  return { jobs, copies, commits: await readCommits(redis, `${own}history`) };
}

function jobOf([, finishedOn, result, reason, attempts]: (string | null)[]): FinalJob {
  const isCompleted = finishedOn != null && result != null;
  return {
    state: isCompleted ? 'completed' : finishedOn == null ? 'waiting' : 'failed',
    result: isCompleted ? valueIn(result) : undefined,
    reason: reason ?? '',
    attempts: Number(attempts ?? 0),
  };
}

function valueIn(json: string | null | undefined): Value | undefined {
  return json == null || json === '' ? undefined : valueOf(JSON.parse(json) as Value);
}

async function readCommits(redis: Redis, stream: string): Promise<Commit[]> {
  const commits: Commit[] = [];
  let joint: { readonly keys: readonly string[]; readonly jobs: string } = { keys: [], jobs: '' };
  for (let after = '-'; ; ) {
    const page = await redis.xrange(stream, after, '+', 'COUNT', PER_CALL);
    for (const [id, fields] of page) {
      after = `(${id}`;
      const field = (name: string): string =>
        fields.find((_, at) => at % 2 === 1 && fields[at - 1] === name) ?? '';
      const [key, keys] = [field('k'), field('m')];
      // Of several keys: entries one behind the other, of which the first one names the keys and has the jobs.
      if (keys.startsWith('[')) joint = { keys: JSON.parse(keys) as string[], jobs: field('j') };
      commits.push({
        key,
        token: Number(field('t')),
        base: Number(field('b')),
        applied:
          keys === '' ? appliedIn(field('j')) : appliedIn(joint.jobs, joint.keys.indexOf(key)),
      });
    }
    if (page.length < PER_CALL) return commits;
  }
}

/**
 * Separator, `[id, update, sequence, attempt, decision, places]`, separator, data, and so on. `places`, of jobs of several
 * keys: where theirs are among the commit's.
 * @param place only jobs of the key there
 */
function appliedIn(jobs: string, place?: number): string[] {
  const parts = jobs.split('\u001e');
  const applied: string[] = [];
  for (let at = 1; at < parts.length; at += 2) {
    const [id, , , , decision, places] = JSON.parse(parts[at] as string) as [
      string,
      string,
      number,
      number,
      string,
      number[]?,
    ];
    const isIts = place === undefined || places?.includes(place) === true;
    if (isIts && decision.startsWith('a')) applied.push(id);
  }
  return applied;
}
