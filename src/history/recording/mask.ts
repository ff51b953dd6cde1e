/** Taking secrets out of a recording. */
import { messageOf, TorilError } from '../../errors.ts';
import { NO_VALUE_HASH, valueHash } from '../history.ts';
import { isJoint } from './joint-lines.ts';
import { type RecordedCommit, type RecordedJob, WITHHELD_HASH } from './recording.ts';
import { KeyReplay } from '../replay/key.ts';
import type { KnownValue } from '../replay/report.ts';
import { copyOfJson } from '../../updates/values/json-value.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';

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
  readonly key: string;
  readonly jobId: string;
  /** The update's name. */
  readonly update: string;
}

/**
 * Masks commit by commit. Given the updates, it stays replayable: the values are made anew from the
 * masked data, and their hashes take the place of the true ones. The updates must repeat the true
 * history, too, or the recording would bless whatever they do.
 */
export class Masking {
  readonly #mask: Mask;
  readonly #registry: UpdateRegistry | undefined;
  readonly #keys = new Map<string, { readonly plain: KeyReplay; readonly masked: KeyReplay }>();

  constructor(mask: Mask, updates: readonly AnyUpdate[] | undefined) {
    this.#mask = mask;
    this.#registry = updates && new UpdateRegistry(updates);
  }

  get keepsReplayable(): boolean {
    return this.#registry !== undefined;
  }

  /** @throws TorilError BAD_FILE (the mask fails), RECORDING_MASKED if the values cannot be made anew */
  async apply(commit: RecordedCommit, line: number): Promise<RecordedCommit> {
    const masked = await this.#masked(commit);
    if (this.#registry === undefined) return masked;
    if (isJoint(commit)) throw notRemade(commit, 'it is the commit of a transaction');
    const pair = this.#pairOf(commit.key, this.#registry);
    await pair.plain.next(commit, line);
    if (pair.plain.difference !== undefined) {
      throw notRemade(commit, 'the updates do not give the value that was recorded');
    }
    const known = await pair.masked.remake(masked, line);
    if (typeof known === 'string') throw notRemade(commit, known);
    return known === undefined ? masked : withValue(masked, known, commit.value !== undefined);
  }

  #pairOf(key: string, registry: UpdateRegistry): { plain: KeyReplay; masked: KeyReplay } {
    let pair = this.#keys.get(key);
    if (pair === undefined) {
      const unknown = new Set<string>();
      pair = { plain: new KeyReplay(registry, unknown), masked: new KeyReplay(registry, unknown) };
      this.#keys.set(key, pair);
    }
    return pair;
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

  async #maskedJob(job: RecordedJob, key: string): Promise<RecordedJob> {
    // A result may tell what the data were.
    const { data, outcome, result: _, resultHash: __, ...rest } = job;
    const { id: jobId, update } = job;
    const named = { key, jobId, update: update ?? '' };
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

/** As if the masked value had been committed. */
function withValue(commit: RecordedCommit, { json }: KnownValue, inFull: boolean): RecordedCommit {
  const { value: _, ...rest } = commit;
  if (json === undefined) return { ...rest, hash: NO_VALUE_HASH };
  const hash = valueHash(json);
  return { ...rest, hash, ...(inFull && { value: JSON.parse(json) as unknown }) };
}

function notRemade({ key, token }: RecordedCommit, why: string): TorilError {
  return new TorilError(
    'RECORDING_MASKED',
    `the values cannot be made anew from masked data: ${why} (commit ${token} of ${JSON.stringify(key)}). Mend the mask or the updates, or leave --updates out: then the recording says that it cannot be replayed.`,
  );
}
