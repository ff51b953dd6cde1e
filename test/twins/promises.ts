/**
 * The table "promise -> the lines that keep it" in docs/design.md. A twin's edits name the lines of its guard
 * exactly, and are checked against the sources, so the table is made from them:
 * `npm run twins -- --write-promises`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Twin } from './twin.ts';

const PAGE = new URL('../../docs/design.md', import.meta.url);
const BEGIN = '<!-- promises -->';
const END = '<!-- /promises -->';
/** Characters of a line that are shown. */
const LINE_MAX = 90;

/** By promise, the twins of its guards. */
export const PROMISES: Readonly<Record<string, readonly string[]>> = {
  'P1 exclusion': [
    ...['commit-without-cas', 'set-for-replace', 'acknowledge-anything', 'unknown-is-done'],
    ...['half-changed-value', 'visit-without-cas', 'release-without-cas', 'trust-from-reply'],
    ...['trust-without-end', 'takeover-without-margin', 'takeover-of-any-version'],
    ...['connection-of-any-epoch', 'lock-not-looked-at', 'strict-without-guard'],
    ...['strict-once-per-lease', 'strict-without-bump', 'claim-before-check'],
    ...['strict-on-unread-cell', 'own-commit-of-any-connection', 'closed-before-the-lock'],
    ...['own-commit-from-a-read', 'closed-too-late', 'ms-for-locks', 'ms-without-condition'],
    ...[
      'stored-is-ours',
      'bumped-is-ours',
      'bump-of-any-item',
      'any-answer-is-a-refusal',
      'begun-too-late',
    ],
    ...['one-cas-for-all', 'renewed-as-it-was', 'value-of-the-old-owner'],
    ...['whoever-finds-it-made-it'],
    ...['joint-key-by-key', 'joint-any-base', 'joint-believes-any-cell'],
    ...['joint-write-without-cas', 'joint-cells-unread', 'joint-beside-what-landed'],
    ...['joint-beside-a-lost-job', 'joint-holds-after-giving-up'],
  ],
  'P2 order': [
    ...['watermark-stands-still', 'enqueue-in-two-steps', 'old-place', 'two-lanes'],
    ...['key-of-today', 'joint-ready-or-not', 'joint-ready-or-not-in-redis'],
    ...['joint-entered-apart', 'joint-reentered-apart', 'joint-numbered-apart'],
  ],
  'P3 exactly once': [
    ...['complete-first', 'leave-on-the-side', 'hold-on-the-side', 'no-held-mark'],
    ...['no-outcome-in-job', 'no-cascade', 'strict-called-again', 'resent-call'],
    ...['overtaken-call', 'late-call', 'removed-in-hand', 'former-outcome', 'former-settlement'],
    ...['ended-by-a-late-copy', 'completed-by-a-late-copy'],
    ...['refusal-is-a-failure', 'repeated-blindly', 'failed-after-giving-up'],
    ...['telemetry-throws', 'cancelled-is-called'],
    ...['joint-any-head', 'joint-any-head-in-redis', 'joint-in-one-lane'],
    ...[
      'joint-never-behind',
      'joint-completes-early',
      'joint-writes-for-sure',
      'joint-cell-never-written',
    ],
  ],
  'P4 nothing lost': ['believe-any-cell', 'forget-landed-commit', 'size-after-sending'],
  'P5 fencing': ['token-before-lease', 'closed-by-wish', 'early-token-kept'],
  'P6 no wedge': [
    ...['by-cas-everywhere'],
    ...[
      'standing-for-a-minute',
      'snoozed-unnoted',
      'woken-before-it-sleeps',
      'snoozed-for-ever',
      'nameless-is-unknown',
    ],
    ...['clock-of-the-worker', 'clock-of-the-producer', 'locks-by-the-wall-clock'],
    ...['fetched-again', 'kept-ahead', 'closed-before-given-back', 'unasked-for'],
    ...['closing-goes-on', 'lane-left-to-nobody', 'joint-never-swept'],
  ],
  'P7 fair attempts': [
    ...[
      'charged-in-absence',
      'called-in-absence',
      'stalled-in-company',
      'survived-in-silence',
      'retried-in-silence',
    ],
    ...['begun-again-in-silence', 'survived-said-once', 'dead-at-once', 'survived-said-late'],
    ...['noted-though-not-begun'],
    ...['limit-is-a-failure', 'charged-twice', 'charged-by-a-late-copy'],
    ...['asynchronous-blocking-unseen', 'suspects-together', 'others-under-suspicion'],
    ...['no-fresh-batch'],
  ],
  'P8 isolation': [
    ...['context-of-a-neighbour', 'combiner-in-a-jobs-context', 'limit-of-completions'],
    ...[
      'limit-used-up-by-snoozing',
      'joint-cut-short',
      'joint-nobody-goes-on',
      'joint-waits-in-its-slot',
    ],
  ],
  'P9 loud': [
    ...['believe-other-redis', 'numbers-again', 'strangers-leave', 'no-visit'],
    ...['forget-refused-commit', 'completed-is-applied', 'nobody-looks', 'gone-in-silence'],
    ...['late-jobs-unnamed', 'late-jobs-untold', 'another-job-of-its-id'],
    ...['unproven-is-trusted', 'failover-of-memjs', 'joint-based-before'],
    'joint-keys-by-their-user',
    'joint-keys-in-former-order',
  ],
  'replay: green means as it was': [
    ...['value-not-recorded', 'joint-value-not-recorded'],
    ...['replay-line-by-line', 'replay-lines-of-others', 'replay-lines-in-any-order'],
    ...['replay-part-of-a-commit', 'replay-of-unknown-values', 'replay-of-differing-values'],
    ...['replay-of-former-values', 'replay-behind-a-failure', 'replay-outcomes-of-others'],
    ...['replay-of-other-keys', 'replay-of-another-kind', 'replay-out-of-turn'],
    ...['replay-one-key-alone', 'total-amid-a-transaction'],
    ...['steps-without-others', 'steps-of-others'],
    ...['compare-unknown-values', 'compare-part-of-a-commit', 'compare-what-cannot-run'],
    ...['compare-one-key-alone', 'slice-of-some-lines', 'slice-without-values'],
    ...['slice-without-their-sources', 'mask-blesses-values'],
  ],
};

export function writePromises(twins: readonly Twin[]): void {
  writeFileSync(PAGE, withPromises(readFileSync(PAGE, 'utf8'), twins));
}

/** The page as it should be. */
export function promisesPage(twins: readonly Twin[]): { is: string; shouldBe: string } {
  const is = readFileSync(PAGE, 'utf8');
  return { is, shouldBe: withPromises(is, twins) };
}

function withPromises(page: string, twins: readonly Twin[]): string {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from === -1 || to === -1)
    throw new Error(`docs/design.md has lost its marks ${BEGIN} ${END}`);
  const rows = Object.entries(PROMISES).flatMap(([promise, names]) =>
    names.flatMap((name) => {
      const twin = twins.find((one) => one.name === name);
      return twin === undefined ? [] : rowOf(promise, twin);
    }),
  );
  const head = ['| promise | what keeps it | where | twin |', '| --- | --- | --- | --- |'];
  return `${page.slice(0, from)}${[BEGIN, ...head, ...rows].join('\n')}\n${page.slice(to)}`;
}

function rowOf(promise: string, { name, guard, edits }: Twin): string {
  const [edit] = edits;
  if (edit === undefined) return '';
  const lines = edit.find.split('\n').map((line) => line.trim());
  const line = lines.find((one) => one.length > 8) ?? lines.join(' ');
  const shown = line.length <= LINE_MAX ? line : `${line.slice(0, LINE_MAX)}…`;
  const code = shown.replaceAll('|', '\\|').replaceAll('`', "'");
  const text = guard.replaceAll('|', '\\|').replaceAll('<', '&lt;');
  return `| ${promise} | ${text} | \`${edit.file.replace(/^src\//, '')}\`: \`${code}\` | \`${name}\` |`;
}
