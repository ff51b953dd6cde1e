/**
 * Recorded editing of real documents, all at once, by four workers: `toril trace`, as a user would
 * call it. The recordings are not part of the project.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Bench } from '../bench.ts';
import { FLAWLESS } from '../chain-audit.ts';
import { messageOf } from '../compare.ts';
import type { Sample } from '../measure.ts';
import { type Cell, emptyRow, type Row, rowOf } from '../row.ts';
import { difference } from '../server-meter.ts';

/** As much of `toril trace --json` as is used here. */
interface TraceResult {
  readonly ok: boolean;
  readonly jobs: number;
  readonly editsPerSecond: number;
  readonly failedJobs: number;
  readonly documents: readonly { readonly name: string; readonly difference?: string }[];
}

const TORIL = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const WORKERS = 4;
const WANTED_PER_SECOND = 5_000;

const run = promisify(execFile);

export async function traces(bench: Bench): Promise<Row[]> {
  const { options, progress } = bench;
  const [system] = bench.choose(['toril']);
  const files = traceFiles();
  if (files.length === 0) {
    progress.say(`traces left out: ${tracesFolder()} has none (set TORIL_TRACES to a folder)`);
  }
  if (system === undefined || files.length === 0) return [];
  const cell: Cell = {
    ...{ family: 'traces', work: `${files.length} recorded documents, to 5,000 edits/s` },
    ...{ keys: files.length, concurrency: 1, processes: WORKERS },
  };
  const samples: Sample[] = [];
  try {
    for (let round = 0; round < options.runs; round++) {
      progress.now(`traces: run ${round + 1} of ${options.runs}`);
      samples.push(await measureTraces(bench, files));
    }
  } catch (thrown) {
    return [{ ...emptyRow(cell, system, 0), trouble: messageOf(thrown) }];
  }
  const wanted = samples.map((sample) => ({ ...sample, jobsPerSecond: WANTED_PER_SECOND }));
  const row = rowOf(cell, system, samples, wanted, 1);
  progress.say(`traces: ${Math.round(row.jobsPerSecond ?? 0)} edits/s`);
  // What the workers cost is known to the command alone.
  return [{ ...row, costs: null }];
}

function tracesFolder(): string {
  const beside = new URL('../../../shared/traces', import.meta.url);
  return process.env['TORIL_TRACES'] ?? fileURLToPath(beside);
}

function traceFiles(): string[] {
  const folder = tracesFolder();
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter((name) => name.endsWith('.json.gz')).map((name) => join(folder, name));
}

async function measureTraces({ stage }: Bench, files: readonly string[]): Promise<Sample> {
  const { redis, memcached } = stage.site;
  const before = await stage.readServers();
  const { stdout } = await run(process.execPath, [
    ...[TORIL, 'trace', ...files, '--workers', String(WORKERS), '--kill', '0', '--json'],
    ...['--redis', redis, '--memcached', memcached],
  ]);
  const servers = difference(await stage.readServers(), before);
  const { ok, jobs, editsPerSecond, failedJobs, documents } = JSON.parse(stdout) as TraceResult;
  const wrong = documents.filter((document) => document.difference !== undefined);
  return {
    jobs,
    jobsPerSecond: editsPerSecond,
    verdict: ok ? FLAWLESS : { ...FLAWLESS, lost: Math.max(1, wrong.length) },
    effort: { jobs, workerCpuSeconds: 0, peakRssBytes: 0, servers },
    trouble: ok ? undefined : `${wrong.length} documents differ, ${failedJobs} jobs failed`,
  };
}
