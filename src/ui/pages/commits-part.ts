/** A key's last commits: on a time line, and one by one with what they changed. */
import { durationText } from '../../base/duration-text.ts';
import { otherKeysOf, withKeysText } from '../../jobs/reports/lane-past.ts';
import type { LaneReport } from '../../jobs/reports/lane-report.ts';
import type { CommitSight, CommitsSight } from '../board.ts';
import type { Veil } from '../veil.ts';
import type { Links } from '../links.ts';
import { plain, word } from './foreign-text.ts';
import { html, NOTHING, type Html } from './html.ts';
import { count, laneLinks, moment } from './parts.ts';
import { valueBlock, valueDifference } from './value-block.ts';

/** Commits whose change is shown; comparing two values may take a millisecond or two. */
const COMPARED_MAX = 10;
const JOBS_SHOWN = 20;
const DATA_SHOWN = 200;

/** Undefined: it is not known; null: there was none. */
type Known = { readonly value: unknown } | null | undefined;

/** Whose commits they are. */
interface Of {
  readonly links: Links;
  readonly queue: string;
  readonly key: string;
  readonly veil: Veil;
}

export function commitsPart({ commits, hasMore }: CommitsSight, of: Of, report: LaneReport): Html {
  if (commits.length === 0) {
    return html`${lastOne(report)}<p class="soft">None is recorded. Workers record commits with the option <code>history</code>.</p>`;
  }
  const values = commits.map((commit) => known(commit, of, report));
  return html`${timeline(commits, of.key)}
<ol class="commits">
${commits.map((commit, at) => commitItem(commit, values[at], at < COMPARED_MAX ? values[at + 1] : undefined, of))}
</ol>
${hasMore ? html`<p class="soft">There are older ones: <code>toril record</code> makes a file of them all.</p>` : ''}`;
}

/** As far as the copy tells. */
function lastOne({ lastCommits: [last] }: LaneReport): Html {
  if (last === undefined) return NOTHING;
  return html`<p>${moment(last.atMs)} · token ${String(last.token)}</p>`;
}

/** Redis keeps the last acknowledged value anyhow; of the others, only what the history wrote down in full. */
function known(commit: CommitSight, { key, veil }: Of, report: LaneReport): Known {
  if (commit.valueJson === null) return null;
  if (commit.valueJson !== undefined) return { value: veil.value(key, parsed(commit.valueJson)) };
  const isLast = commit.token === report.token && report.copy !== undefined;
  return isLast ? { value: report.copy } : undefined; // the report has been through the veil
}

function commitItem(
  { id, atMs, token, recovered, jobs }: CommitSight,
  value: Known,
  before: Known,
  { links, queue, key, veil }: Of,
): Html {
  const rest = jobs.length - JOBS_SHOWN;
  return html`<li id="commit-${id}"><p>${moment(atMs)} · token ${String(token)} · ${jobs.length === 1 ? '1 job' : `${count(jobs.length)} jobs`}${recovered ? ' · acknowledged by a successor' : ''}</p>
<ul>${jobs
    .slice(0, JOBS_SHOWN)
    .map(
      ({ jobId, name, dataJson, end, attempt, keys = [] }) =>
        html`<li>${word(name, 60)} <span class="soft">${word(jobId, 60)}</span>${withOthers(links, queue, keys, key)} ${end}${attempt > 1 ? `, attempt ${attempt}` : ''}: <code>${word(dataText(veil, key, dataJson), DATA_SHOWN)}</code></li>`,
    )}${rest > 0 ? html`<li class="soft">and ${count(rest)} more</li>` : ''}</ul>
${change(id, value, before)}</li>`;
}

/** A job's other keys, each with a link to its page. */
function withOthers(links: Links, queue: string, keys: readonly string[], key: string): Html {
  const others = keys.filter((one) => one !== key);
  return others.length === 0 ? NOTHING : html` with ${laneLinks(links, queue, others)}`;
}

function change(id: string, value: Known, before: Known): Html {
  if (value === undefined)
    return html`<p class="soft">Its value is not written down (see <code>checkpointEvery</code>).</p>`;
  if (value === null) return html`<p class="soft">The value was deleted.</p>`;
  if (before !== undefined && before !== null) return valueDifference(before.value, value.value);
  return html`<details id="value-${id}"><summary>Its value${before === undefined ? ', the one before is not known here' : ''}</summary>${valueBlock(value.value)}</details>`;
}

function dataText(veil: Veil, key: string, dataJson: string): string {
  return JSON.stringify(veil.value(key, parsed(dataJson), 'data')) ?? '';
}

/** A producer without Toril may have written anything. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

/** Of the whole width, in percent. */
const [LEFT, RIGHT] = [2, 98];

function timeline(commits: readonly CommitSight[], key: string): Html {
  const newest = commits[0];
  const oldest = commits.at(-1);
  if (newest === undefined || oldest === undefined || newest === oldest) return NOTHING;
  const span = Math.max(1, newest.atMs - oldest.atMs);
  const place = ({ atMs }: CommitSight): string =>
    (LEFT + ((atMs - oldest.atMs) / span) * (RIGHT - LEFT)).toFixed(2);
  const name = `${commits.length} commits within ${durationText(newest.atMs - oldest.atMs)}`;
  return html`<svg class="timeline" role="img" aria-label="${name}">
<line x1="${LEFT}%" x2="${RIGHT}%" y1="16" y2="16"></line>
${commits.map(
  (commit) =>
    html`<circle cx="${place(commit)}%" cy="16" r="5"${commit.jobs.some(({ end }) => end !== 'applied') ? html` class="failed"` : ''}><title>token ${String(commit.token)}${withKeysText(otherKeysOf(commit.jobs, key), (one) => plain(one, 60))}</title></circle>`,
)}
<text x="${LEFT}%" y="42">${durationText(newest.atMs - oldest.atMs)} before</text>
<text x="${RIGHT}%" y="42" text-anchor="end">last commit</text>
</svg>`;
}
