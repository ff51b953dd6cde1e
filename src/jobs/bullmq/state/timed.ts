/**
 * BullMQ's scripts that are told what time it is, told by Redis. BullMQ tells them the worker's own wall clock: one
 * that is an hour ahead starts what is delayed an hour early, and notes times that nobody else can use.
 *
 * Those that end a delivery are also told which one. BullMQ's go by the token of the job's lock, and a slot of a worker locks
 * all its jobs under one token: a job that comes back to its slot, or a new job of its id, has the same one again. And a client
 * whose connection was cut sends an unanswered request again, of which the first copy may arrive later still. It charged an
 * attempt twice (simulation, seed 29757), and would complete a new job that was never applied.
 */
import { bullFunctionLua, bullScript, madeLater } from './bullmq-text.ts';
import { isKnownBullMQ } from './known-bullmq.ts';
import { CODE } from './layout.ts';
import { ADD_SCHEDULER_LUA } from './snoozing/scheduler-jobs.ts';
import type { Script } from '../../redis/scripts/script.ts';

/** Where each has the time among its arguments, counted from 1. */
const TIME_AT = {
  moveToActive: 2,
  moveToFinished: 2,
  moveToDelayed: 2,
  moveToWaitingChildren: 3,
  retryJob: 2,
  changeDelay: 2,
  addJobScheduler: 7,
  updateJobScheduler: 5,
} as const;

/** Which of its KEYS is the job's. What gives a job back is not told: it charges nothing, and a copy has it delivered once more at worst. */
const JOB_KEY_AT: Partial<Readonly<Record<TimedName, number>>> = {
  moveToFinished: 12,
  moveToDelayed: 5,
  retryJob: 4,
};

/** A fragment: `nowMs` is Redis's time in milliseconds since 1970, as text. */
export const NOW_MS_LUA: string = `local clock = redis.call('TIME')
local nowMs = string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000))
`;

/** What time it is: milliseconds since 1970.  KEYS[1] sequence (unused) */
export const NOW: Script = {
  name: 'torilNow',
  numberOfKeys: 1,
  lua: `${NOW_MS_LUA}return nowMs`,
};

let made: ReadonlyMap<string, Script> | undefined;

/**
 * By the names of BullMQ's, of a BullMQ that is known: the same, with the time from Redis; what takes a job for processing says the time behind
 * its answer ([fields, id, limited for, due, now]).
 */
export function timedScripts(): ReadonlyMap<string, Script> {
  made ??= !isKnownBullMQ()
    ? new Map()
    : new Map(
        (Object.entries(TIME_AT) as [TimedName, number][]).map(([name, at]) => [
          name,
          timed(name, at),
        ]),
      );
  return made;
}

type TimedName = keyof typeof TIME_AT;

function timed(name: TimedName, at: number): Script {
  return madeLater(`torilTimed${name[0]?.toUpperCase()}${name.slice(1)}`, () => ({
    numberOfKeys: bullScript(name).numberOfKeys,
    lua: `${NOW_MS_LUA}ARGV[${at}] = nowMs
${ownDeliveryLua(JOB_KEY_AT[name])}${bullFunctionLua(name)}
${name === 'addJobScheduler' ? ADD_SCHEDULER_LUA : ''}
local reply = ${name}(KEYS, ARGV)
if type(reply) == 'table' and #reply == 4 then reply[5] = nowMs end
return reply
`,
  }));
}

/** In front of a delivery's name: no argument of BullMQ's is taken for one. */
const DELIVERY_MARK = 'delivery:';

/** The last argument of what ends a delivery. @param processedOn of the job; undefined: not told */
export function deliveryArgument(processedOn: number | undefined): string {
  return `${DELIVERY_MARK}${processedOn ?? ''}`;
}

/**
 * The delivery comes last (else the script fails, and nothing is done): it is named by its `processedOn`, in Redis's milliseconds. Where a copy is under way, the client has connected
 * again before the job is delivered again, so no two of them share it. '': not told. If the job is gone, BullMQ's own script says so.
 */
function ownDeliveryLua(jobKeyAt: number | undefined): string {
  if (jobKeyAt === undefined) return '';
  return `local delivery = assert(string.match(table.remove(ARGV), '^${DELIVERY_MARK}(%d*)$'), 'the delivery is not the last argument')
local jobKey = KEYS[${jobKeyAt}]
local latest = delivery ~= '' and redis.call('HGET', jobKey, 'processedOn')
if latest and latest ~= delivery then return ${CODE.lockMissing} end
`;
}
