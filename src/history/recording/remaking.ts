/**
 * Values, hashes and results of masked commits, recomputed from their masked data, so that a masked recording can be
 * replayed. The updates must repeat the true history as well, or the recording would bless whatever they do: so each
 * commit is folded twice, as it was and as it is masked.
 */
import { TorilError } from '../../errors.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { NO_VALUE_HASH, RECORDED_RESULT_MAX, resultHash, valueHash } from '../history.ts';
import { hasResult, JobTrials } from '../replay/jobs/job-trials.ts';
import { foldJoint } from '../replay/joint/fold-joint.ts';
import { KeyReplay } from '../replay/keys/key-replay.ts';
import type { KnownValue } from '../replay/report.ts';
import { asWritten, CommitLines, type JointLines, jointWith } from './joint-lines.ts';
import type { RecordedCommit, RecordedJob } from './recording.ts';

interface Pair {
  readonly plain: KeyReplay;
  readonly masked: KeyReplay;
}

export class Remaking {
  readonly #registry: UpdateRegistry;
  readonly #plain = new JobTrials();
  readonly #masked = new JobTrials();
  readonly #keys = new Map<string, Pair>();
  readonly #lines: CommitLines;
  /** Those of a commit that is not whole yet. */
  #maskedLines: RecordedCommit[] = [];
  #made: RecordedCommit[] = [];

  constructor(updates: readonly AnyUpdate[]) {
    this.#registry = new UpdateRegistry(updates);
    this.#lines = new CommitLines({
      single: (commit, line) => this.#single(commit, line),
      joint: (joint) => this.#joint(joint),
    });
  }

  /** @throws TorilError RECORDING_MASKED */
  async next(
    commit: RecordedCommit,
    masked: RecordedCommit,
    line: number,
  ): Promise<readonly RecordedCommit[]> {
    this.#maskedLines.push(masked);
    await this.#lines.next(commit, line);
    return this.#taken();
  }

  /** @throws TorilError RECORDING_MASKED */
  async end(): Promise<readonly RecordedCommit[]> {
    await this.#lines.end();
    return this.#taken();
  }

  #taken(): readonly RecordedCommit[] {
    const made = this.#made;
    this.#made = [];
    return made;
  }

  async #single(commit: RecordedCommit, line: number): Promise<void> {
    const [masked] = this.#maskedLines.splice(0, 1) as [RecordedCommit];
    const pair = this.#pairOf(commit.key);
    this.#clear(line);
    await pair.plain.next(commit, line);
    this.#checkPlain([commit], [pair]);
    await pair.masked.next(masked, line);
    this.#checkMasked([commit], [pair]);
    const jobs = this.#jobs(commit.jobs, masked.jobs);
    this.#made.push(remade(commit, { ...masked, jobs }, pair.masked.last));
  }

  async #joint(joint: JointLines): Promise<void> {
    const { parts, jobs, line } = joint;
    const lines = this.#maskedLines.splice(0, parts.length);
    const masked = jointWith(joint, lines, jobs.length === 0 ? [] : (lines[0]?.jobs ?? []));
    const pairs = parts.map(({ key }) => this.#pairOf(key));
    this.#clear(line, joint, masked);
    const plainKeys = pairs.map(({ plain }) => plain);
    await foldJoint(joint, plainKeys, this.#registry, this.#plain);
    this.#checkPlain(parts, pairs);
    const maskedKeys = pairs.map((pair) => pair.masked);
    await foldJoint(masked, maskedKeys, this.#registry, this.#masked);
    this.#checkMasked(parts, pairs);
    const made = parts.map((part, at) =>
      remade(part, masked.parts[at] as RecordedCommit, pairs[at]?.masked.last),
    );
    this.#made.push(...asWritten(jointWith(masked, made, this.#jobs(jobs, masked.jobs))));
  }

  #clear(line: number, plain?: JointLines, masked?: JointLines): void {
    this.#plain.clear(line, plain);
    this.#masked.clear(line, masked);
  }

  #checkPlain(parts: readonly RecordedCommit[], pairs: readonly Pair[]): void {
    const at = pairs.findIndex(({ plain }) => plain.difference !== undefined);
    if (at >= 0) {
      const commit = parts[at] as RecordedCommit;
      throw notRemade(commit, 'the updates do not give the value that was recorded');
    }
    const other = this.#plain.others.find(({ job }) => hasResult(job));
    if (other !== undefined) {
      const commit = parts[0] as RecordedCommit;
      const why = `the updates do not give the result of job ${other.job.id} that was recorded`;
      throw notRemade(commit, why);
    }
  }

  #checkMasked(parts: readonly RecordedCommit[], pairs: readonly Pair[]): void {
    for (const [at, { masked }] of pairs.entries()) {
      const failure = masked.difference?.failure;
      if (failure !== undefined) throw notRemade(parts[at] as RecordedCommit, failure);
    }
  }

  /** With results where the true ones were recorded. */
  #jobs(plain: readonly RecordedJob[], masked: readonly RecordedJob[]): RecordedJob[] {
    const { others, failures } = this.#masked;
    return masked.map((job, at) => {
      // It failed, and with its masked data it would not: without them, no replay tries it.
      if (failures.some((trial) => trial.job.id === job.id && trial.kind === 'succeeds')) {
        const { data: _, ...rest } = job;
        return rest;
      }
      const made = others.find((one) => one.job.id === job.id);
      const isWanted = made !== undefined && hasResult(plain[at] as RecordedJob);
      return isWanted ? { ...job, ...recordedResult(made.now) } : job;
    });
  }

  #pairOf(key: string): Pair {
    let pair = this.#keys.get(key);
    if (pair === undefined) {
      const unknown = new Set<string>();
      pair = {
        plain: new KeyReplay(this.#registry, unknown, this.#plain),
        masked: new KeyReplay(this.#registry, unknown, this.#masked, 'withheld'),
      };
      this.#keys.set(key, pair);
    }
    return pair;
  }
}

/** As if the masked value had been committed; in full where the true one was recorded in full. */
function remade(
  { value }: RecordedCommit,
  masked: RecordedCommit,
  known: KnownValue | undefined,
): RecordedCommit {
  if (known === undefined) return masked;
  const { value: _, ...rest } = masked;
  const { json } = known;
  if (json === undefined) return { ...rest, hash: NO_VALUE_HASH };
  const inFull = value !== undefined && { value: JSON.parse(json) as unknown };
  return { ...rest, hash: valueHash(json), ...inFull };
}

/** As a history keeps it. @param json empty: none */
function recordedResult(json: string): Pick<RecordedJob, 'result' | 'resultHash'> {
  if (json === '') return {};
  return Buffer.byteLength(json) > RECORDED_RESULT_MAX
    ? { resultHash: resultHash(json) }
    : { result: JSON.parse(json) as unknown };
}

function notRemade({ key, token }: RecordedCommit, why: string): TorilError {
  return new TorilError(
    'RECORDING_MASKED',
    `the values cannot be recomputed from masked data: ${why} (commit ${token} of ${JSON.stringify(key)}). Correct the mask or the updates, or leave --updates out: then the recording says that it cannot be replayed.`,
  );
}
