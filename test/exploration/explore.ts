/** Searches one configuration, and tells what came out. */
import { CANARIES } from './canaries.ts';
import { type Configuration, type Damage, worldOf } from './configuration.ts';
import { inMacrotask } from './macrotask.ts';
import { Search, type SearchResult } from './search.ts';
import { story } from './story.ts';

export interface Task {
  readonly configuration: Configuration;
  readonly canary: string | undefined;
  readonly seconds: number;
}

export interface Report extends SearchResult {
  readonly configuration: Configuration;
  readonly seconds: number;
  /** Different states of a worker; each was reached once by the real code. */
  readonly workerStates: number;
  /** What happened, if a promise was broken. */
  readonly lines: readonly string[];
}

export async function explore({ configuration, canary, seconds }: Task): Promise<Report> {
  const startMs = performance.now();
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // stacks are for people, and cost as much as a step
  const failures: string[] = [];
  const failed = (reason: unknown): void => void failures.push(String(reason));
  process.on('unhandledRejection', failed);
  try {
    const { world, first } = await inMacrotask(() => worldOf(configuration, damageOf(canary)));
    const result = await new Search(world, first, failures).run(seconds);
    const steps = result.found?.steps;
    const lines = steps && (await inMacrotask(() => story(world, first, steps)));
    return {
      ...result,
      configuration,
      seconds: (performance.now() - startMs) / 1000,
      workerStates: world.workers.size,
      lines: lines ?? [],
    };
  } finally {
    process.off('unhandledRejection', failed);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

export function damageOf(canary: string | undefined): Damage {
  if (canary === undefined) return {};
  const known = CANARIES[canary];
  if (known !== undefined) return known.damage;
  throw new Error(`no canary "${canary}": ${Object.keys(CANARIES).join(', ')}`);
}
