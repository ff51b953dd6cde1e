/** JSON Lines of jobs: what one line means. Pure. */
import { messageOf, TorilError } from '../../errors.ts';
import { keyOf, validated } from '../../updates/job-data.ts';
import type { Enqueue } from '../../jobs/queue-options.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';

/** BullMQ's options of a job. */
export type JobOptions = NonNullable<Enqueue['options']>;

/** As BullMQ's `addBulk` takes it. */
export interface JobLine {
  readonly name: string;
  readonly data: unknown;
  readonly opts: JobOptions;
}

const MEMBERS: ReadonlySet<string> = new Set(['name', 'data', 'options']);

/**
 * @param name of all jobs, whose data the lines are; undefined: each line names its own
 * @param options of all jobs; a line's own win
 * @throws TorilError DATA_NOT_JSON, INVALID_DATA
 */
export function parseLine(line: string, name: string | undefined, options: JobOptions): JobLine {
  const parsed = parseJson(line);
  if (name !== undefined) return { name, data: parsed, opts: options };
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw invalid('it is no object with name, data and perhaps options');
  }
  const unknown = Object.keys(parsed).find((member) => !MEMBERS.has(member));
  if (unknown !== undefined) throw invalid(`it has "${unknown}" besides name, data and options`);
  const { name: own, data, options: ownOptions = {} } = parsed as Record<string, unknown>;
  if (typeof own !== 'string' || own === '') throw invalid('its name is no non-empty string');
  if (typeof ownOptions !== 'object' || ownOptions === null) {
    throw invalid('its options are no object');
  }
  return { name: own, data, opts: { ...options, ...ownOptions } };
}

/** Checks a job as the queue would, but alone, so that an error can name its line. */
export async function checkJob(registry: UpdateRegistry, job: JobLine): Promise<void> {
  const update: AnyUpdate = registry.require(job.name);
  keyOf(update, await validated(update, job.data));
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (cause) {
    throw new TorilError('DATA_NOT_JSON', `it is not JSON: ${messageOf(cause)}`, { cause });
  }
}

function invalid(what: string): TorilError {
  return new TorilError('INVALID_DATA', what);
}

/** The options in a flag. @throws TorilError INVALID_OPTIONS */
export function jobOptions(json: string | undefined): JobOptions {
  if (json === undefined) return {};
  try {
    const options: unknown = JSON.parse(json);
    if (typeof options === 'object' && options !== null && !Array.isArray(options)) return options;
  } catch {
    // said below
  }
  throw new TorilError(
    'INVALID_OPTIONS',
    `--options must be a JSON object of BullMQ's job options, as in '{"attempts":3}'.`,
  );
}
