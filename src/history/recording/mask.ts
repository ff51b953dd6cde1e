/** Taking secrets out of a recording. */
import { messageOf, TorilError } from '../../errors.ts';
import { NO_VALUE_HASH } from '../history.ts';
import { Remaking } from './remaking.ts';
import { type RecordedCommit, type RecordedJob, WITHHELD_HASH } from './recording.ts';
import { copyOfJson } from '../../updates/values/json-value.ts';
import type { AnyUpdate } from '../../updates/update.ts';

/**
 * A user's functions; each may be asynchronous, and may change and return what it is given, which is a
 * copy. Both must give the same for the same, or the masked jobs no longer fit together.
 */
export interface Mask {
  /** The data of a job without what is secret in them. */
  data(data: unknown, job: MaskedJob): unknown;
  /**
   * A value without what is secret in it: where the history has one in full. Without it, such values
   * are left out.
   */
  value?(value: unknown, key: string): unknown;
}

export interface MaskedJob {
  /** Of a transaction's job: the first of its keys. */
  readonly key: string;
  /** Of a transaction's job: all of them, in its order. */
  readonly keys?: readonly string[];
  readonly jobId: string;
  /** The update's name. */
  readonly update: string;
}

/**
 * Masks commit by commit. Given the updates, it stays replayable: values and results are recomputed from the
 * masked data (Remaking).
 */
export class Masking {
  readonly #mask: Mask;
  readonly #remaking: Remaking | undefined;

  constructor(mask: Mask, updates: readonly AnyUpdate[] | undefined) {
    this.#mask = mask;
    this.#remaking = updates && new Remaking(updates);
  }

  get keepsReplayable(): boolean {
    return this.#remaking !== undefined;
  }

  /**
   * The commits that can be written now, in order: those of a transaction together, behind the last of them.
   * @throws TorilError BAD_FILE (the mask fails), RECORDING_MASKED if the values cannot be recomputed
   */
  async next(commit: RecordedCommit, line: number): Promise<readonly RecordedCommit[]> {
    const masked = await this.#masked(commit);
    return this.#remaking === undefined ? [masked] : this.#remaking.next(commit, masked, line);
  }

  /** Behind the last commit: what is left. */
  async end(): Promise<readonly RecordedCommit[]> {
    return this.#remaking?.end() ?? [];
  }

  async #masked(commit: RecordedCommit): Promise<RecordedCommit> {
    const { origin, value, jobs, key, hash, ...rest } = commit;
    const mask = this.#mask;
    const hidden =
      mask.value === undefined
        ? undefined
        : (one: unknown) => masking(one, (own) => mask.value?.(own, key), `the value of ${key}`);
    const isAdopted = typeof origin === 'object';
    return {
      ...rest,
      key,
      // A short value could be guessed from its hash.
      hash: hash === NO_VALUE_HASH ? hash : WITHHELD_HASH,
      ...(origin !== undefined && !isAdopted && { origin }),
      ...(isAdopted && {
        origin: hidden === undefined ? 'unknown' : { adopted: await hidden(origin.adopted) },
      }),
      jobs: await Promise.all(jobs.map((job) => this.#maskedJob(job, key))),
      ...(value !== undefined && hidden !== undefined && { value: await hidden(value) }),
    };
  }

  async #maskedJob(job: RecordedJob, commitKey: string): Promise<RecordedJob> {
    // A result may tell what the data were.
    const { data, outcome, result: _, resultHash: __, ...rest } = job;
    const { id: jobId, update, keys } = job;
    const named = {
      ...{ key: keys?.[0] ?? commitKey, jobId, update: update ?? '' },
      ...(keys !== undefined && { keys }),
    };
    return {
      ...rest,
      // A failure's message may tell what the data were.
      ...(outcome && {
        outcome: outcome.kind === 'failed' ? { ...outcome, message: '' } : outcome,
      }),
      ...(data !== undefined &&
        update !== undefined && {
          data: await masking(data, (own) => this.#mask.data(own, named), `job ${jobId}`),
        }),
    };
  }
}

/** Undefined cannot be written down, and what is not hidden must not slip through for that. */
async function masking(
  given: unknown,
  mask: (own: unknown) => unknown,
  what: string,
): Promise<unknown> {
  let masked: string | undefined;
  try {
    masked = JSON.stringify(await mask(copyOfJson(given)));
  } catch (cause) {
    throw new TorilError('BAD_FILE', `the mask failed on ${what}: ${messageOf(cause)}`, { cause });
  }
  if (masked !== undefined) return JSON.parse(masked) as unknown;
  throw new TorilError('BAD_FILE', `the mask returned nothing that JSON can hold for ${what}.`);
}
