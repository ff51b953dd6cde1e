/** What became of an invariant. */

export interface InvariantReport {
  readonly name: string;
  /** `not-checked`: it was never asked, or not always when it should have been; `unchecked` says why. */
  readonly verdict: 'holds' | 'broken' | 'not-checked';
  /** How often it was asked, */
  readonly asked: number;
  /** and how often it did not hold. */
  readonly breaks: number;
  /** The first time. */
  readonly broken: BrokenInvariant | undefined;
  /**
   * `never-asked`: no value, job or key that it is about; `values-unknown`: the value of a key was not known
   * (`times`), so that the total was not; `not-all-keys`: only a part of them is replayed
   * or was recorded, or the recording is a part of another (`slice`).
   */
  readonly unchecked: 'never-asked' | 'values-unknown' | 'not-all-keys' | undefined;
  /** How often its total could not be known. */
  readonly times: number;
}

export interface BrokenInvariant {
  /** Which of its questions was answered so. */
  readonly what: 'value' | 'step' | 'total';
  /** What it says is wrong, if it says more than `false`. */
  readonly why: string | undefined;
  /** The job before or behind which it was asked; undefined: behind all jobs (`when: 'end'`). */
  readonly at: InvariantPlace | undefined;
  /** `before`: with this value the key began, so that the job is not to blame. */
  readonly moment: 'before' | 'after' | 'end';
  /** The value that it was asked about, and the one before it. JSON; undefined: none. */
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** For `total`: the sum, and what was changed of it. */
  readonly total: string | undefined;
  readonly change: string | undefined;
}

export interface InvariantPlace {
  /** Of the recording, counted from 1; undefined: on a test bed. */
  readonly line: number | undefined;
  readonly key: string;
  /** Undefined: the recording has the value itself. */
  readonly job?: { readonly id: string; readonly update: string };
}

/** `line 7, job 3 (withdraw) of "ada"`. */
export function placeText(at: InvariantPlace | undefined): string {
  if (at === undefined) return 'behind all jobs';
  const { line, key, job } = at;
  const who =
    job === undefined ? `the value of "${key}"` : `job ${job.id} (${job.update}) of "${key}"`;
  return line === undefined ? who : `line ${line}, ${who}`;
}

const VALUE_MAX = 200;

export function brokenText(name: string, broken: BrokenInvariant): string {
  const { why, at, moment, before, after, total, change } = broken;
  const isOfJob = at?.job !== undefined;
  const where = isOfJob ? `${moment} ${placeText(at)}` : placeText(at);
  const facts = [
    ...(total === undefined ? [] : [`the total is ${total}, changed by ${change}`]),
    ...(moment === 'after' ? [`before it: ${short(before)}`] : []),
    ...(moment === 'end'
      ? []
      : [`${moment === 'after' ? 'after it' : 'its value'}: ${short(after)}`]),
  ];
  const told = why === undefined ? '' : `: ${why}`;
  return `the invariant "${name}" does not hold ${where}${told}${facts.length === 0 ? '' : ` (${facts.join('; ')})`}`;
}

function short(json: string | undefined): string {
  if (json === undefined) return 'no value';
  return json.length <= VALUE_MAX
    ? json
    : `${json.slice(0, VALUE_MAX)}… (${json.length} characters)`;
}
