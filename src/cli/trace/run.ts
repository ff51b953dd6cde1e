/**
 * Replays recorded editing with several worker processes, killing some on the way: one key per
 * document, one job per transaction. Then each value is compared with what was recorded.
 */
import { seededFraction, systemRandom } from '../../base/random.ts';
import { Cells } from '../../cells/cells.ts';
import type { Queue } from '../../jobs/queue.ts';
import { record } from '../../history/record.ts';
import { writeRecording } from '../../history/recording/file.ts';
import { Completion } from '../fleet/completion.ts';
import { asking, closeQuietly, openQueue, removeQueue } from '../servers/connections.ts';
import { MEMCACHED_VARIABLE, REDIS_VARIABLE } from '../flags/flags.ts';
import { Fleet } from '../fleet/fleet.ts';
import { deleteCells, openMemcached } from '../servers/memcached.ts';
import type { OwnServers } from '../servers/own-servers.ts';
import { type Progress, startProgress } from '../terminal/progress.ts';
import { whenAborted } from '../terminal/signals.ts';
import { differenceFrom, documentsOf, interleaved, type TraceDocument } from './documents.ts';
import type { Trace } from './trace-file.ts';
import { edit, TRACE_UPDATES_FILE } from './trace-updates.ts';

const JOBS_PER_ADD = 500;
const KEY_ROOT = 'trace:';
/** Short, so that what a killed worker held is taken up within seconds. */
const WORKER_FLAGS: readonly string[] = [
  ...['--lease-ms', '1500', '--request-deadline-ms', '500'],
  ...['--lock-duration-ms', '2000', '--stalled-interval-ms', '1000', '--close-ms', '5000'],
];

export interface TraceOptions {
  readonly workers: number;
  readonly kill: number;
  /** A file for the recording of the run; undefined: none is made. */
  readonly record?: string | undefined;
}

interface DocumentResult {
  readonly name: string;
  readonly jobs: number;
  /** From the first job of the run to the document's last one. */
  readonly editsPerSecond: number;
  /** Of the value, in UTF-8. */
  readonly bytes: number;
  readonly exact: boolean;
  /** Undefined if it is exact. */
  readonly difference: string | undefined;
}

export interface TraceResult {
  readonly documents: readonly DocumentResult[];
  readonly jobs: number;
  readonly seconds: number;
  readonly editsPerSecond: number;
  readonly killed: number;
  readonly takeovers: number;
  readonly refusedCommits: number;
  readonly recoveredCommits: number;
  readonly restoredCells: number;
  readonly failedJobs: number;
  /** The jobs were waited for to the end. */
  readonly drained: boolean;
}

/** Throws the signal's reason if it aborts. Leaves nothing behind in Redis. */
export async function runTraces(
  traces: readonly Trace[],
  options: TraceOptions,
  servers: OwnServers,
  signal: AbortSignal,
): Promise<TraceResult> {
  const id = systemRandom.id();
  const name = `toril-trace-${id}`;
  const documents = documentsOf(traces, `${KEY_ROOT}${id}:`);
  const memcached = openMemcached({ memcached: servers.memcached });
  const queue = await openQueue(
    { queue: name, prefix: 'bull', redis: servers.redis },
    { updates: [edit] },
  );
  const fleet = new Fleet({
    args: [
      ...['--updates', TRACE_UPDATES_FILE, '--queue', name, '--prefix', 'bull', ...WORKER_FLAGS],
      ...(options.record === undefined ? [] : ['--history']),
    ],
    env: { [REDIS_VARIABLE]: servers.redis, [MEMCACHED_VARIABLE]: servers.memcached },
  });
  const progress = startProgress('editing', jobsOf(documents), 'edits');
  const run = new TraceRun(documents, options, queue, fleet, progress, signal);
  try {
    await Promise.race([run.run(), fleet.failure, whenAborted(signal)]);
    if (options.record !== undefined) await writeRecording(options.record, record(queue));
    const values = await new Cells(memcached).getMany(documents.map(({ key }) => key));
    return run.result(values);
  } finally {
    progress.stop();
    await fleet.stop();
    await removeQueue(queue);
    await deleteCells(
      memcached,
      documents.map(({ key }) => key),
    );
    await closeQuietly(queue, memcached);
  }
}

class TraceRun {
  readonly #documents: readonly TraceDocument[];
  readonly #options: TraceOptions;
  readonly #queue: Queue;
  readonly #fleet: Fleet;
  readonly #progress: Progress;
  readonly #completion: Completion;
  readonly #signal: AbortSignal;
  readonly #jobs: number;
  readonly #fraction: () => number = seededFraction(systemRandom.id());
  #startedMs = 0;
  #allAdded = false;
  #drained = false;
  #tookSeconds = 0;
  #killed = 0;
  /** Seconds at which each document's lane was empty for good, by key. */
  readonly #finishedAfter = new Map<string, number>();

  constructor(
    documents: readonly TraceDocument[],
    options: TraceOptions,
    queue: Queue,
    fleet: Fleet,
    progress: Progress,
    signal: AbortSignal,
  ) {
    this.#documents = documents;
    this.#options = options;
    this.#queue = queue;
    this.#fleet = fleet;
    this.#progress = progress;
    this.#signal = signal;
    this.#jobs = jobsOf(documents);
    const onPoll = (): Promise<void> => this.#lookForFinished();
    this.#completion = new Completion({ queue, progress, signal, onPoll });
  }

  async run(): Promise<void> {
    await this.#fleet.start(this.#options.workers);
    this.#startedMs = performance.now();
    const [drained] = await Promise.all([this.#killAndWait(), this.#addAll()]);
    this.#drained = drained;
    this.#tookSeconds = this.#seconds();
  }

  result(values: ReadonlyMap<string, unknown>): TraceResult {
    const fleet = this.#fleet;
    const seconds = this.#tookSeconds;
    return {
      documents: this.#documents.map((document) => this.#documentResult(document, values)),
      jobs: this.#jobs,
      seconds,
      editsPerSecond: Math.round(this.#jobs / seconds),
      killed: this.#killed,
      takeovers: fleet.count('leaseTakenOver'),
      refusedCommits: fleet.count('commitRefused') + fleet.count('acknowledgementRefused'),
      recoveredCommits: fleet.count('commitRecovered'),
      restoredCells: fleet.count('cellRestored'),
      failedJobs: this.#completion.finished.failed,
      drained: this.#drained,
    };
  }

  #documentResult(
    { key, name, endContent, transactions }: TraceDocument,
    values: ReadonlyMap<string, unknown>,
  ): DocumentResult {
    const value = values.get(key);
    const difference = differenceFrom(endContent, value);
    const seconds = this.#finishedAfter.get(key) ?? this.#tookSeconds;
    return {
      name,
      jobs: transactions.length,
      editsPerSecond: Math.round(transactions.length / seconds),
      bytes: typeof value === 'string' ? Buffer.byteLength(value) : 0,
      exact: difference === undefined,
      difference,
    };
  }

  /** At even distances: the last kill still has work behind it. */
  async #killAndWait(): Promise<boolean> {
    const { kill } = this.#options;
    while (this.#killed < kill) {
      const killAt = (this.#jobs * (this.#killed + 1)) / (kill + 1);
      if (!(await this.#completion.reach(killAt))) return false;
      const victim = this.#fleet.pick(this.#fraction());
      await this.#fleet.kill(victim);
      this.#killed += 1;
      this.#progress.say(
        `killed worker ${victim.pid} (SIGKILL, ${this.#killed} of ${kill}); starting another one`,
      );
      await this.#fleet.start(1);
    }
    return this.#completion.reach(this.#jobs);
  }

  async #addAll(): Promise<void> {
    let chunk: { update: typeof edit; data: Parameters<typeof edit.key>[0] }[] = [];
    const add = async (): Promise<void> => {
      const jobs = chunk;
      chunk = [];
      await asking(this.#queue.enqueueBulk(jobs));
    };
    for (const data of interleaved(this.#documents)) {
      this.#signal.throwIfAborted();
      chunk.push({ update: edit, data });
      if (chunk.length === JOBS_PER_ADD) await add();
    }
    await add();
    this.#allAdded = true;
  }

  async #lookForFinished(): Promise<void> {
    if (!this.#allAdded) return;
    const left = this.#documents.filter(({ key }) => !this.#finishedAfter.has(key));
    await Promise.all(
      left.map(async ({ key }) => {
        const { length } = await asking(this.#queue.inRedis.lanes.inspect(key, 1));
        if (length === 0) this.#finishedAfter.set(key, this.#seconds());
      }),
    );
  }

  #seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }
}

function jobsOf(documents: readonly TraceDocument[]): number {
  return documents.reduce((sum, { transactions }) => sum + transactions.length, 0);
}
