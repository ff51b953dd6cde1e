/** One run of one system: fill the queue, start the workers, wait for the last job, look who was right. */
import { auditRun, isFlawless, type Verdict } from './chain-audit.ts';
import type { Crew } from './children/crew.ts';
import type { WorkerReport } from './children/worker-process.ts';
import { difference, type ServerReading } from './server-meter.ts';
import type { ReadBack, Stage } from './stage.ts';
import { edited, emptyValue, type Plan, workAt } from './work.ts';

export interface Load {
  readonly jobs: number;
  readonly keys: number;
  readonly concurrency: number;
  readonly documentBytes?: number;
}

export interface Sample {
  readonly jobs: number;
  readonly jobsPerSecond: number;
  /** Undefined: the system keeps no values. */
  readonly verdict: Verdict | undefined;
  readonly effort: Effort;
  /** Undefined: every job was completed. */
  readonly trouble: string | undefined;
}

/** What a run has cost. */
export interface Effort {
  readonly jobs: number;
  readonly workerCpuSeconds: number;
  /** Of all worker processes together. */
  readonly peakRssBytes: number;
  readonly servers: ServerReading;
}

export async function measureRun(stage: Stage, crew: Crew, load: Load): Promise<Sample> {
  const { jobs, concurrency, documentBytes = 0 } = load;
  const keys = Math.min(load.keys, jobs);
  const plan: Plan = { run: stage.newRun(), jobs, keys, documentBytes };
  await stage.fill(crew.system, plan);
  await crew.open({ run: plan.run, concurrency, keys, documentBytes });
  const before = await stage.readServers();
  const startedMs = crew.start();
  const { completed, failed, lastAtMs } = await crew.settled(jobs);
  const servers = difference(await stage.readServers(), before);
  const reports = await crew.finish();
  const back = await stage.read(crew.system, plan);
  await stage.forget(crew.system, plan);
  return {
    jobs,
    jobsPerSecond: completed === 0 ? 0 : completed / ((lastAtMs - startedMs) / 1000),
    verdict: back && verdictOf(plan, back, reports),
    effort: effortOf(completed, reports, servers),
    trouble: completed >= jobs ? undefined : troubleOf(jobs, completed, failed, reports),
  };
}

export function verdictOf(
  plan: Plan,
  { hashes, text }: ReadBack,
  reports: readonly WorkerReport[],
): Verdict {
  const { jobs, keys } = plan;
  const journals = reports.map(({ journal }) => journal);
  const completed = reports.reduce((sum, report) => sum + report.completed, 0);
  const verdict = auditRun({ jobs, keys, hashes, journals, completed });
  // Appended in another order, or not all of them: then the text says nothing more.
  if (text === undefined || completed < jobs || !isFlawless(verdict)) return verdict;
  return text === expectedText(plan) ? verdict : { ...verdict, lost: 1 };
}

/** The document of the first key after all its edits, one after the other. */
function expectedText(plan: Plan): string {
  let text = emptyValue(plan.documentBytes).text ?? '';
  for (let i = 0; i < plan.jobs; i += plan.keys) {
    const { edit } = workAt(plan, i);
    if (edit !== undefined) text = edited(text, edit);
  }
  return text;
}

export function effortOf(
  jobs: number,
  reports: readonly WorkerReport[],
  servers: ServerReading,
): Effort {
  return {
    jobs: Math.max(1, jobs),
    workerCpuSeconds: reports.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    peakRssBytes: reports.reduce((sum, { peakRssBytes }) => sum + peakRssBytes, 0),
    servers,
  };
}

function troubleOf(
  jobs: number,
  completed: number,
  failed: number,
  reports: readonly WorkerReport[],
): string {
  const failure = reports.find((report) => report.failure !== undefined)?.failure;
  const why = failed > 0 ? `${failed} failed: ${failure}` : 'then nothing for a long time';
  return `${completed} of ${jobs} jobs were completed (${why})`;
}
