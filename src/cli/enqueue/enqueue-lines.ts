/** Adds the jobs in standard input's lines, chunk by chunk and in order. */
import { fstatSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { messageOf, TorilError } from '../../errors.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { isTorilError } from '../terminal/failure.ts';
import { checkJob, type JobLine } from './job-lines.ts';
import { type Progress, startProgress } from '../terminal/progress.ts';

/** As many as Toril adds in one transaction. */
const CHUNK_JOBS = 500;
const STANDARD_INPUT_FD = 0;

export interface EnqueueLinesInput {
  readonly queue: Queue;
  /** Undefined: names and data are not checked here. */
  readonly updates: readonly AnyUpdate[] | undefined;
  readonly parse: (line: string) => JobLine;
}

/**
 * Returns how many jobs were added.
 * @throws TorilError naming the line that is wrong, or those whose outcome is unknown, and how many
 *   were added before
 */
export async function enqueueLines(input: EnqueueLinesInput): Promise<number> {
  // The size is known only of a file; of a pipe, what has come so far is all there is to say.
  const bytes = inputBytes();
  const progress = startProgress('enqueueing', bytes ?? 0, bytes === undefined ? 'jobs' : 'bytes');
  const run = new EnqueueRun(input, progress, bytes !== undefined);
  try {
    for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
      await run.line(line);
    }
    await run.flush();
  } finally {
    progress.stop();
  }
  return run.enqueued;
}

class EnqueueRun {
  readonly #input: EnqueueLinesInput;
  readonly #registry: UpdateRegistry | undefined;
  readonly #progress: Progress;
  readonly #countsBytes: boolean;
  #lineNumber = 0;
  #bytes = 0;
  #chunk: JobLine[] = [];
  #chunkFrom = 1;
  enqueued = 0;

  constructor(input: EnqueueLinesInput, progress: Progress, countsBytes: boolean) {
    this.#input = input;
    this.#registry = input.updates && new UpdateRegistry(input.updates);
    this.#progress = progress;
    this.#countsBytes = countsBytes;
  }

  async line(text: string): Promise<void> {
    this.#lineNumber += 1;
    this.#bytes += Buffer.byteLength(text) + 1;
    const line = this.#lineNumber === 1 ? text.replace(/^\uFEFF/, '') : text;
    if (line.trim() === '') return;
    const job = await this.#read(line);
    if (this.#chunk.length === 0) this.#chunkFrom = this.#lineNumber;
    this.#chunk.push(job);
    if (this.#chunk.length >= CHUNK_JOBS) await this.flush();
  }

  async flush(): Promise<void> {
    const chunk = this.#chunk;
    this.#chunk = [];
    if (chunk.length > 0) {
      try {
        await this.#input.queue.addBulk(chunk.map((job) => ({ ...job })));
      } catch (cause) {
        throw this.#chunkFailed(chunk.length, cause);
      }
      this.enqueued += chunk.length;
    }
    this.#progress.update(this.#countsBytes ? this.#bytes : this.enqueued);
  }

  /** What is wrong with a line is found before its chunk is added, so that those before it can be. */
  async #read(line: string): Promise<JobLine> {
    const number = this.#lineNumber;
    try {
      const job = this.#input.parse(line);
      if (this.#registry !== undefined) await checkJob(this.#registry, job);
      return job;
    } catch (cause) {
      await this.flush();
      const code = isTorilError(cause) ? cause.code : 'INVALID_DATA';
      throw new TorilError(
        code,
        `line ${number}: ${messageOf(cause).replace(/\.$/, '')}. ${jobs(this.enqueued)} from the lines before it were enqueued, none after. Correct it and go on from there: tail -n +${number}.`,
        { cause },
      );
    }
  }

  #chunkFailed(chunkJobs: number, cause: unknown): TorilError {
    const lines = `lines ${this.#chunkFrom} to ${this.#lineNumber}`;
    // Toril refuses a chunk before it adds anything of it; what comes from Redis may have happened.
    const [code, fate] =
      isTorilError(cause) && cause.code !== 'OUTCOME_UNKNOWN'
        ? [cause.code, `none of the ${jobs(chunkJobs)} in them was enqueued`]
        : ([
            'OUTCOME_UNKNOWN',
            `whether the ${jobs(chunkJobs)} in them were enqueued is unknown`,
          ] as const);
    return new TorilError(
      code,
      `${lines}: ${messageOf(cause).replace(/\.$/, '')}. ${jobs(this.enqueued)} from the lines before were enqueued; ${fate}; none after.`,
      { cause },
    );
  }
}

function jobs(count: number): string {
  return count === 1 ? '1 job' : `${count} jobs`;
}

function inputBytes(): number | undefined {
  const stat = fstatSync(STANDARD_INPUT_FD);
  return stat.isFile() ? stat.size : undefined;
}
