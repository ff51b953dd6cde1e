/**
 * A user's backoff strategy as BullMQ calls it. It gets the error that was thrown. If it throws, or is missing, BullMQ
 * would leave the job active until it counts as stalled, have its update called again, and so on.
 */
import type { WorkerOptions } from 'bullmq';
import { isError, messageOf } from '../../errors.ts';
import { thrownOf } from '../../jobs/bullmq/told-failures.ts';

type Settings = NonNullable<WorkerOptions['settings']>;
type Strategy = NonNullable<Settings['backoffStrategy']>;

/** @param insteadMs the delay if the strategy says none */
export function tolerant(
  settings: Settings | undefined,
  insteadMs: number,
  tell: (error: Error) => void,
): Settings {
  const backoffStrategy: Strategy = async (attemptsMade, type, error, job) => {
    try {
      if (settings?.backoffStrategy === undefined)
        throw new Error(`there is no backoff strategy "${type}"`);
      return await settings.backoffStrategy(attemptsMade, type, thrownOf(error) as Error, job);
    } catch (thrown) {
      const known = isError(thrown) ? thrown : new Error(messageOf(thrown));
      tell(known);
      return insteadMs;
    }
  };
  return { ...settings, backoffStrategy };
}
