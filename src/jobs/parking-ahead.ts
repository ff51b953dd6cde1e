/** Parks the jobs of a lane that are next in BullMQ's wait list, before they are delivered. */
import type { Script } from './scripts/script.ts';
import { PARK_AHEAD, TELL_PARKED } from './scripts/park-ahead.ts';

/** Jobs that one call looks at, so that it does not block Redis for more than 1.5 ms; calls at a time; calls in all. */
const PARKED_PER_CALL = 500;
const CALLS_AT_A_TIME = 2;
const CALLS_MAX = 40;
/** Jobs of others at which it stops: there is enough to deliver before the lane's next ones. */
const OTHERS_ENOUGH = 200;
/** Fewer: nobody waits for it. */
const TOLD_PER_CALL = 100;

/** When they come back: rank × `perRankMs`, at least and at most so many milliseconds. */
export interface Away {
  readonly perRankMs: number;
  readonly atLeastMs: number;
  readonly atMostMs: number;
}

export interface ParkingSite {
  /** BullMQ's names of its keys. */
  readonly keys: Readonly<Record<string, string>>;
  run(script: Script, args: (string | number)[]): Promise<unknown>;
}

/** Returns how many were parked. The next call would find few, or others before them. */
export async function parkAhead(site: ParkingSite, lane: string, away: Away): Promise<number> {
  const { wait, delayed, marker, '': prefix } = site.keys as Record<string, string>;
  const keys = [`${prefix}sequence`, wait, delayed, marker] as string[];
  const times = [away.perRankMs, away.atLeastMs, away.atMostMs];
  let calls = 0;
  let parkedInAll = 0;
  const parkSome = async (): Promise<void> => {
    while (calls++ < CALLS_MAX) {
      const args = [...keys, prefix as string, lane, PARKED_PER_CALL, ...times];
      const [parked, seen] = (await site.run(PARK_AHEAD, args)) as [number, number];
      parkedInAll += parked;
      const isLast = parked === 0 || seen < PARKED_PER_CALL || seen - parked >= OTHERS_ENOUGH;
      if (isLast) calls = CALLS_MAX;
    }
  };
  // While Redis works for one call, the reply of another is on its way.
  await Promise.all(Array.from({ length: CALLS_AT_A_TIME }, parkSome));
  return parkedInAll;
}

/** Notes of `parked` jobs of the lane what BullMQ notes of delayed ones, and tells it. */
export async function tellParked(site: ParkingSite, lane: string, parked: number): Promise<void> {
  const { delayed, events, meta, '': prefix } = site.keys as Record<string, string>;
  const keys = [`${prefix}sequence`, delayed, events, meta] as string[];
  let behind = '0';
  for (let left = parked; left > 0 && behind !== ''; ) {
    const args = [...keys, prefix as string, lane, behind, TOLD_PER_CALL];
    const [told, last] = (await site.run(TELL_PARKED, args)) as [number, string];
    left -= told;
    behind = last;
  }
}
