/** The traffic of an example: as a list for tests, as lines for `toril enqueue -`. */
import { pathToFileURL } from 'node:url';

export interface TrafficJob {
  /** The update's name. */
  readonly name: string;
  readonly data: unknown;
}

/** Prints the jobs, if the module is the one that Node was started with. */
export function printJobs(moduleUrl: string, traffic: () => readonly TrafficJob[]): void {
  if (pathToFileURL(process.argv[1] ?? '').href !== moduleUrl) return;
  for (const job of traffic()) process.stdout.write(`${JSON.stringify(job)}\n`);
}
