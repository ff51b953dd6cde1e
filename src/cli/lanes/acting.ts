/** An operator's acts from the command line: noted in the audit trail, as the page's are. */
import { hostname, userInfo } from 'node:os';
import { type Command, Option } from 'commander';
import { type Act, audited } from '../../jobs/audit-trail.ts';
import type { Queue } from '../../jobs/queue.ts';
import { JOB_ACTIONS, type JobAction } from '../../jobs/reports/why.ts';
import { isSet } from '../flags/flags.ts';
import { asking } from '../servers/connections.ts';

export interface ActingFlags extends Partial<Record<JobAction, boolean>> {
  readonly as?: string;
}

const WORDS: Readonly<Record<JobAction, string>> = {
  retry: 'try the job that holds the lane again',
  skip: "send it to the lane's end, and go on",
  drop: 'fail it for good, and go on',
};

/** `--retry`, `--skip`, `--drop`: one of them at a time, and none with the others that are named. And `--as`. */
export function addActingFlags(command: Command, others: readonly string[]): Command {
  for (const action of JOB_ACTIONS) {
    const rest = JOB_ACTIONS.filter((one) => one !== action);
    command.addOption(new Option(`--${action}`, WORDS[action]).conflicts([...rest, ...others]));
  }
  return command.option('--as <name>', 'who acts, for the audit trail (default: user@host)');
}

export function actionOf(flags: ActingFlags): JobAction | undefined {
  return JOB_ACTIONS.find((action) => flags[action] === true);
}

/** Stands in the audit trail. */
export function operatorName(as?: string): string {
  return isSet(as) ? as : `${userName()}@${hostname()}`;
}

function userName(): string {
  try {
    return userInfo().username || 'operator';
  } catch {
    return 'operator'; // a container's user may have no name
  }
}

/**
 * Carries an act out with a record of it.
 * @param told what stands in the record of what came of it
 * @throws TorilError REDIS_FAILED: it could not be noted, so nothing was done; and what `carryOut` throws
 */
export async function acting<T>(
  { audit }: Queue,
  act: Act,
  carryOut: () => Promise<T>,
  told: (result: T) => string,
): Promise<T> {
  let result: { readonly of: T } | undefined;
  let thrown: unknown;
  const carriedOut = async (): Promise<string> => {
    try {
      result = { of: await asking(carryOut()) };
      return told(result.of);
    } catch (failure) {
      thrown = failure;
      throw failure;
    }
  };
  await asking(audited(audit, act, carriedOut));
  if (result === undefined) throw thrown;
  return result.of;
}

/** Has a worker act on the job that holds a lane. @throws TorilError LANE_NOT_HELD: it is another one by now */
export async function actOnJob(
  queue: Queue,
  what: JobAction,
  job: Omit<Act, 'what'>,
): Promise<void> {
  const carryOut = (): Promise<string> => queue.lane(job.key)[what](job.jobId);
  await acting(queue, { ...job, what }, carryOut, () => CARRIED_OUT_LATER);
}

export const CARRIED_OUT_LATER = 'the next worker that receives it carries it out';
