/** Assertions of one line, for any test runner: they throw, and need nothing of it. */
import type { TestBed } from '../bed.ts';
import type { AppliedJob, Journal } from '../journal/journal.ts';
import { ExpectationError, VacuousExpectationError } from './expectation-error.ts';
import { differenceText, jsonDifference, shown } from './json-difference.ts';
import { brokenText } from '../../history/invariants/report.ts';
import { lossesOf } from '../journal/losses.ts';
import { type SequentialFold, sequentialFolds } from './sequential-fold.ts';
import { idOf, type JobRef, type JobView } from '../views.ts';

const PROBLEMS_LISTED = 5;
const KEYS_LISTED = 5;
const JOBS_LISTED = 5;

/**
 * The key's jobs were applied in the order in which they were enqueued, none passed over another, and
 * no reader saw the value go back. Jobs that gave up their place on purpose (`onFailure: 'skip'`, a
 * delay, an operator's word) may stand anywhere.
 * @param key default: every key
 * @throws ExpectationError
 * @throws VacuousExpectationError nothing was done, nobody used the key, or a fault is armed still
 */
export function expectInOrder(bed: TestBed, key?: string): void {
  const keys = keysToLookAt(bed, key);
  const isIdle = keys.every((one) =>
    bed.journal.places(one).every(({ decided }) => decided === undefined),
  );
  if (isIdle) refuseVacuous('no job is done yet: await bed.drain()');
  const problems = keys.flatMap((one) => orderProblems(bed, one));
  if (problems.length === 0) return;
  const ofKey = key === undefined ? '' : ` of "${key}"`;
  throw new ExpectationError(`the jobs${ofKey} were not applied in order${listed(problems)}`);
}

/**
 * Every completed job is in its key's value once, with its own result, and no failed one is; and the
 * value is still there: what memcached lost without a copy is not. Jobs that have not been applied yet
 * are an error, too: drain the bed first.
 * @param jobs default: all. Those that are named must have been applied.
 * @throws ExpectationError
 * @throws VacuousExpectationError there are no jobs, or a fault is armed still
 */
export function expectExactlyOnce(bed: TestBed, jobs?: readonly JobRef[]): void {
  keysToLookAt(bed, undefined);
  if (jobs?.length === 0) refuseVacuous('the list of jobs is empty');
  const views = jobs === undefined ? bed.jobs() : jobs.map((job) => bed.job(job));
  const named = jobs === undefined ? undefined : new Set(jobs.map(idOf));
  const applied = appliedByJob(bed.journal);
  const problems = views.flatMap(
    (view) => onceProblem(view, applied.get(nameOf(view)) ?? [], named !== undefined) ?? [],
  );
  for (const key of bed.journal.keys()) {
    for (const { jobIds } of bed.journal.setbacks(key)) {
      const gone = jobIds.filter((jobId) => named?.has(jobId) ?? true);
      if (gone.length > 0) {
        problems.push(`job ${gone.join(', ')} was in the value of "${key}" and then was not`);
      }
    }
    for (const { jobIds, why } of lossesOf(bed, key)) {
      const gone = jobIds.filter((jobId) => named?.has(jobId) ?? true);
      if (gone.length > 0) problems.push(lossText(key, gone, why));
    }
  }
  if (problems.length === 0) return;
  throw new ExpectationError(`not every job was applied exactly once${listed(problems)}`);
}

/**
 * A reader of memcached sees this value under the key; undefined: none.
 * @throws ExpectationError
 * @throws VacuousExpectationError no value is expected of a key that nobody used, or a fault is armed still
 */
export function expectValue(bed: TestBed, key: string, expected: unknown): void {
  refuseArmed(bed);
  const actual = bed.value(key);
  if (actual === undefined && expected === undefined && !bed.journal.knows(key)) {
    refuseVacuous(`${unusedKey(bed, key)}, and so of course no value (bed.value may be asked)`);
  }
  const difference = jsonDifference(actual, expected);
  if (difference === undefined) return;
  const { copy, length } = bed.lane(key);
  const waiting = length > 0 ? ` ${length} of its jobs still wait.` : '';
  const isLost = actual === undefined && copy !== undefined;
  const lost = isLost ? ` Memcached has lost it; its durable copy is ${shown(copy)}.` : '';
  throw new ExpectationError(
    `the value of "${key}": ${differenceText(difference)}.${waiting}${lost}`,
    actual,
    expected,
  );
}

/**
 * The key's value is what its jobs make of it when they are applied one after the other by nothing
 * but the updates themselves: catches updates that are not deterministic.
 * @param key default: every key
 * @throws ExpectationError
 * @throws VacuousExpectationError nothing was done, nobody used the key, or a fault is armed still
 */
export async function expectSequentialFold(bed: TestBed, key?: string): Promise<void> {
  const keys = keysToLookAt(bed, key);
  if (keys.every((one) => bed.journal.commits(one).length === 0)) {
    refuseVacuous('no job is done yet: await bed.drain()');
  }
  const { inOrder } = bed.journal;
  const areConnected = inOrder.some((commit) => commit.keys !== undefined);
  const commits = key === undefined || areConnected ? inOrder : bed.journal.commits(key);
  const folds = await sequentialFolds(commits, bed.registry);
  for (const one of keys) expectFoldOf(bed, one, folds.get(one) ?? NOT_FOLDED);
}

/**
 * Every invariant of the bed has held, and each was asked.
 * @throws ExpectationError
 * @throws VacuousExpectationError there are none, one was never asked or not always, or a fault is armed still
 * @throws TorilError INVARIANT_UNUSABLE
 */
export function expectInvariants(bed: TestBed): void {
  if (bed.invariants === undefined) {
    refuseVacuous('the test bed has no invariants: createTestBed({ invariants: [...] })');
  }
  refuseArmed(bed);
  const reports = bed.invariants.reports();
  const broken = reports.flatMap((one) => (one.broken ? [brokenText(one.name, one.broken)] : []));
  if (broken.length > 0) throw new ExpectationError(`invariants do not hold${listed(broken)}`);
  const unasked = reports.filter(({ verdict }) => verdict !== 'holds');
  if (unasked.length === 0 && reports.length > 0) return;
  const names = unasked.map(({ name, unchecked }) => `"${name}" (${unchecked})`).join(', ');
  refuseVacuous(reports.length === 0 ? 'the list of invariants is empty' : `not asked: ${names}`);
}

const NOT_FOLDED: SequentialFold = { value: undefined, jobs: 0, firstDifference: undefined };

function expectFoldOf(bed: TestBed, key: string, fold: SequentialFold): void {
  const losses = lossesOf(bed, key).map(({ jobIds, why }) => lossText(key, jobIds, why));
  if (losses.length > 0) {
    throw new ExpectationError(
      `the value of "${key}" is not what its jobs make of it one after the other${listed(losses)}`,
    );
  }
  const isGone =
    (bed.journal.commits(key).at(-1)?.valueGoneMs ?? Number.POSITIVE_INFINITY) <= bed.now;
  const actual = lastValue(bed, key);
  const expected = isGone ? undefined : fold.value;
  const difference = jsonDifference(actual, expected);
  if (difference === undefined && fold.firstDifference === undefined) return;
  const what =
    difference === undefined
      ? 'it came out alike in the end, but not on the way'
      : differenceText(difference);
  const jobs = fold.jobs === 1 ? 'its job' : `its ${fold.jobs} jobs`;
  throw new ExpectationError(
    `the value of "${key}" is not what ${jobs} make of it one after the other: ${what}` +
      `${fold.firstDifference === undefined ? '' : `; ${fold.firstDifference}`}.` +
      ' An update must depend on nothing but its value, its data and its context.',
    actual,
    expected,
  );
}

/** What was acknowledged last: the cell, unless it is lost or ahead of Redis. */
function lastValue(bed: TestBed, key: string): unknown {
  const { token, copy } = bed.lane(key);
  const cell = bed.cell(key);
  return cell?.token === token ? cell.value : copy;
}

function orderProblems(bed: TestBed, key: string): string[] {
  const { journal } = bed;
  const problems = journal
    .setbacks(key)
    .map(
      ({ from, to }) =>
        `readers of "${key}" saw its value go back: from commit ${from.token} (up to sequence ${from.watermark}) to ${to.token} (${to.watermark})`,
    );
  problems.push(...lossesOf(bed, key).map(({ jobIds, why }) => lossText(key, jobIds, why)));
  const places = journal.places(key).filter(({ isInPlace }) => isInPlace);
  const rank = new Map(
    places.map(({ jobId: id, generation }, index) => [nameOf({ id, generation }), index]),
  );
  let last = -1;
  for (const { jobId, generation } of journal.applied(key)) {
    const at = rank.get(nameOf({ id: jobId, generation }));
    if (at === undefined) continue;
    if (at < last) {
      problems.push(
        `job ${jobId} was applied after job ${places[last]?.jobId}, which was enqueued after it`,
      );
    }
    last = Math.max(last, at);
  }
  for (const { jobId, decided } of places.slice(0, Math.max(last, 0))) {
    if (decided !== undefined) continue;
    problems.push(
      `job ${places[last]?.jobId} was applied before job ${jobId}, which is ${bed.job(jobId).state}`,
    );
  }
  return problems;
}

/** @throws VacuousExpectationError */
function keysToLookAt(bed: TestBed, key: string | undefined): string[] {
  const keys = bed.journal.keys();
  if (keys.length === 0) refuseVacuous('the test bed has no jobs');
  if (key !== undefined && !bed.journal.knows(key)) refuseVacuous(unusedKey(bed, key));
  refuseArmed(bed);
  return key === undefined ? keys : [key];
}

function refuseArmed(bed: TestBed): void {
  const { armed } = bed.fault;
  if (armed.length === 0) return;
  refuseVacuous(
    `a fault has not happened yet (${armed.join('; ')}): run the bed on, or take it back with bed.fault.disarm()`,
  );
}

function unusedKey(bed: TestBed, key: string): string {
  const keys = bed.journal.keys();
  const some = keys.slice(0, KEYS_LISTED).map((one) => `"${one}"`);
  const more = keys.length > KEYS_LISTED ? ', ...' : '';
  const known = keys.length === 0 ? 'there are no jobs' : `there are ${some.join(', ')}${more}`;
  return `no job has the key "${key}" (${known})`;
}

function refuseVacuous(why: string): never {
  throw new VacuousExpectationError(`this would show nothing: ${why}.`);
}

function lossText(key: string, jobIds: readonly string[], why: string): string {
  const listed = jobIds.slice(0, JOBS_LISTED).join(', ');
  const more = jobIds.length > JOBS_LISTED ? ` and ${jobIds.length - JOBS_LISTED} more` : '';
  return `job ${listed}${more} was in the value of "${key}" and is not any more: ${why}`;
}

function onceProblem(
  { id, state, error, result }: JobView,
  applied: readonly AppliedJob[],
  mustBeApplied: boolean,
): string | undefined {
  if (applied.length > 1) return `job ${id} was applied ${applied.length} times`;
  const [once] = applied;
  if (state === 'failed') {
    if (once !== undefined) return `job ${id} failed, but it was applied`;
    return mustBeApplied ? `job ${id} failed: ${error?.message}` : undefined;
  }
  if (once === undefined) {
    const hint = state === 'completed' ? '' : ' (it is not done yet: await bed.drain())';
    return `job ${id} is ${state}, but it was not applied${hint}`;
  }
  if (state !== 'completed') return undefined;
  const ownResult = once.result === '' ? undefined : JSON.parse(once.result);
  const difference = jsonDifference(result, ownResult);
  return difference && `the result of job ${id}: ${differenceText(difference)}`;
}

/** An id may be used again once its job is removed. */
function nameOf({ id, generation }: { readonly id: string; readonly generation: number }): string {
  return `${generation} ${id}`;
}

function appliedByJob(journal: Journal): Map<string, AppliedJob[]> {
  const byJob = new Map<string, AppliedJob[]>();
  for (const { key, applied } of journal.inOrder) {
    for (const job of applied) {
      // A commit of several keys has it once for each of them.
      if (job.keys !== undefined && job.keys[0] !== key) continue;
      const name = nameOf({ id: job.jobId, generation: job.generation });
      const known = byJob.get(name);
      if (known === undefined) byJob.set(name, [job]);
      else known.push(job);
    }
  }
  return byJob;
}

function listed(problems: readonly string[]): string {
  const left = problems.length - PROBLEMS_LISTED;
  const more = left > 0 ? [`and ${left} more`] : [];
  const lines = [...problems.slice(0, PROBLEMS_LISTED), ...more];
  return lines.length === 1
    ? `: ${lines[0]}.`
    : `:\n${lines.map((line) => `  - ${line}`).join('\n')}`;
}
