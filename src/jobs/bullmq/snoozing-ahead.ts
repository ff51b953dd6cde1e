/** Snoozes the jobs of a lane that are next in BullMQ's wait list, before they are delivered. */
import { type Clock, pause } from '../../base/clock.ts';
import { ownPrefixOf } from '../../redis/own-keys.ts';
import type { Script } from '../redis/scripts/script.ts';
import { SNOOZE_AHEAD, SCHEDULE_SNOOZED } from './state/snoozing/snooze-ahead.ts';

/** Jobs that one call looks at, so that it does not block Redis for more than 1 ms; calls at a time; calls in all. */
const SNOOZED_PER_CALL = 500;
const CALLS_AT_A_TIME = 2;
const CALLS_MAX = 40;
/** Jobs of others at which it stops: there is enough to deliver before the lane's next ones. */
const OTHERS_ENOUGH = 200;
/** Milliseconds after which those come back that were not scheduled by then: the process has died. */
const UNSCHEDULED_MS = 10_000;
/** Nobody waits for it, but all that ask Redis meanwhile wait behind it: jobs per call, and milliseconds before each. */
const SCHEDULED_PER_CALL = 25;
const SCHEDULE_EVERY_MS = 3;

/** When they come back: rank × `perRankMs`, at least and at most so many milliseconds. */
export interface Away {
  readonly perRankMs: number;
  readonly atLeastMs: number;
  readonly atMostMs: number;
}

export interface SnoozingSite {
  /** BullMQ's names of its keys. */
  readonly keys: Readonly<Record<string, string>>;
  run(script: Script, args: (string | number)[]): Promise<unknown>;
}

/** Jobs that are to be scheduled: those of the lane between these sequences, both included. */
export interface SnoozedAhead {
  readonly jobs: number;
  readonly fromSequence: number;
  readonly toSequence: number;
}

export const NONE_SNOOZED: SnoozedAhead = { jobs: 0, fromSequence: 0, toSequence: 0 };

/** The next call would find few, or others before them. */
export async function snoozeAhead(site: SnoozingSite, lane: string): Promise<SnoozedAhead> {
  const { wait, delayed, marker, '': prefix } = site.keys as Record<string, string>;
  const keys = [`${ownPrefixOf(prefix as string)}sequence`, wait, delayed, marker] as string[];
  let calls = 0;
  let jobs = 0;
  let fromSequence = Number.POSITIVE_INFINITY;
  let toSequence = 0;
  const snoozeSome = async (): Promise<void> => {
    while (calls++ < CALLS_MAX) {
      const args = [...keys, prefix as string, lane, SNOOZED_PER_CALL, UNSCHEDULED_MS];
      const reply = (await site.run(SNOOZE_AHEAD, args)) as [number, number, string?, string?];
      const [snoozed, seen, lowest, highest] = reply;
      if (snoozed > 0) {
        jobs += snoozed;
        fromSequence = Math.min(fromSequence, Number(lowest));
        toSequence = Math.max(toSequence, Number(highest));
      }
      const isLast = snoozed === 0 || seen < SNOOZED_PER_CALL || seen - snoozed >= OTHERS_ENOUGH;
      if (isLast) calls = CALLS_MAX;
    }
  };
  // While Redis works for one call, the reply of another is on its way.
  await Promise.all(Array.from({ length: CALLS_AT_A_TIME }, snoozeSome));
  return { jobs, fromSequence, toSequence };
}

/** Says of jobs of the lane that were snoozed ahead when they come back, the first ones first. */
export async function scheduleSnoozed(
  site: SnoozingSite,
  lane: string,
  { jobs, fromSequence, toSequence }: SnoozedAhead,
  away: Away,
  clock: Clock,
): Promise<void> {
  const { delayed, marker, events, meta, '': prefix } = site.keys as Record<string, string>;
  const keys = [
    `${ownPrefixOf(prefix as string)}sequence`,
    delayed,
    marker,
    events,
    meta,
  ] as string[];
  const where = [...keys, prefix as string, lane];
  const times = [away.perRankMs, away.atLeastMs, away.atMostMs];
  let from = jobs === 0 ? '' : String(fromSequence);
  while (from !== '') {
    await pause(clock, SCHEDULE_EVERY_MS);
    const args = [...where, from, toSequence, SCHEDULED_PER_CALL, ...times];
    from = (await site.run(SCHEDULE_SNOOZED, args)) as string;
  }
}
