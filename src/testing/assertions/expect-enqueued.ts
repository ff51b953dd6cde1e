/** Whether code under test has enqueued what it should. */
import type { AnyUpdate } from '../../updates/update.ts';
import type { TestBed } from '../bed.ts';
import { ExpectationError, VacuousExpectationError } from './expectation-error.ts';
import { jsonDifference, shown } from './json-difference.ts';

export interface ExpectedJob {
  readonly update?: AnyUpdate | string;
  readonly key?: string;
  /** Members that its data have, at least. */
  readonly data?: unknown;
  /** How many there are; default: one at least. 0: none. */
  readonly count?: number;
}

const JOBS_SHOWN = 5;

/**
 * Jobs like this one have been enqueued on the bed, whatever has become of them.
 * @throws ExpectationError
 * @throws VacuousExpectationError what is expected is misspelt, or of an update that the bed does not know
 */
export function expectEnqueued(bed: TestBed, expected: ExpectedJob): void {
  const { count } = expected;
  checkExpected(bed, expected);
  const jobs = bed.jobs();
  const found = jobs.filter((job) => isLike(job, expected));
  if (count === undefined ? found.length > 0 : found.length === count) return;
  const name = typeof expected.update === 'object' ? expected.update.name : expected.update;
  const wanted = shown({ update: name, key: expected.key, data: expected.data });
  const others = jobs
    .slice(0, JOBS_SHOWN)
    .map(({ id, name: update, key, data }) => `\n  - ${id}: ${shown({ update, key, data })}`);
  const more = jobs.length > JOBS_SHOWN ? `\n  - and ${jobs.length - JOBS_SHOWN} more` : '';
  const all =
    jobs.length === 0 ? 'No job was enqueued.' : `Enqueued were:${others.join('')}${more}`;
  throw new ExpectationError(
    `expected ${count ?? 'a'} job${count === undefined || count === 1 ? '' : 's'} like ${wanted}, found ${found.length}. ${all}`,
    found.length,
    count ?? 1,
  );
}

const MEMBERS: ReadonlySet<string> = new Set(['update', 'key', 'data', 'count']);

/** What is misspelt would fit every job, and an update that there is not none. */
function checkExpected(bed: TestBed, { update, count, ...expected }: ExpectedJob): void {
  const unknown = Object.keys(expected).find((member) => !MEMBERS.has(member));
  if (unknown !== undefined) {
    throw new VacuousExpectationError(
      `expectEnqueued does not know ${unknown}: update, key, data, count.`,
    );
  }
  if (count !== undefined && !(Number.isInteger(count) && count >= 0)) {
    throw new VacuousExpectationError(`count must be a whole number from 0, not ${count}.`);
  }
  const name = typeof update === 'object' ? update.name : update;
  if (name === undefined || bed.registry.names.includes(name)) return;
  throw new VacuousExpectationError(
    `the test bed knows no update "${name}", so that no job could be like that (known: ${bed.registry.names.join(', ')}).`,
  );
}

function isLike(
  job: { readonly name: string; readonly key: string; readonly data: unknown },
  { update, key, data }: ExpectedJob,
): boolean {
  const name = typeof update === 'object' ? update.name : update;
  return (
    (name === undefined || job.name === name) &&
    (key === undefined || job.key === key) &&
    (data === undefined || includes(job.data, data))
  );
}

function includes(actual: unknown, part: unknown): boolean {
  const isObject = typeof part === 'object' && part !== null && !Array.isArray(part);
  if (!isObject) return jsonDifference(actual, part) === undefined;
  if (typeof actual !== 'object' || actual === null) return false;
  return Object.entries(part).every(
    ([name, member]) =>
      member === undefined || includes((actual as Record<string, unknown>)[name], member),
  );
}
