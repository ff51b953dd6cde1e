import { TorilError } from '../../../errors.ts';

/** An error about one job of a bulk of several, which says about which one. What users' own code threw stays as it is. */
export function ofBulk(thrown: unknown, at: number, jobs: number): unknown {
  if (jobs === 1 || !(thrown instanceof TorilError)) return thrown;
  const { code, message, cause } = thrown;
  return new TorilError(code, `jobs[${at}] of ${jobs}: ${message}`, { cause });
}

/** Calls for each job of a bulk. */
export function forEachOf<T>(jobs: readonly T[], call: (job: T) => void): void {
  for (const [at, job] of jobs.entries()) {
    try {
      call(job);
    } catch (thrown) {
      throw ofBulk(thrown, at, jobs.length);
    }
  }
}
