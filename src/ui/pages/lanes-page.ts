/** All keys of a queue, those first whose head has waited longest. */
import type { LaneCounts, LanePage, LaneSummary } from '../../jobs/reports/lane-report.ts';
import { why } from '../../jobs/reports/why.ts';
import type { LanesQuery, Links } from '../links.ts';
import type { Veil } from '../veil.ts';
import { word } from './foreign-text.ts';
import { type Frame, page } from './frame.ts';
import { html, NOTHING, type Html } from './html.ts';
import {
  count,
  duration,
  LIVE_SWITCH,
  livePart,
  scrolling,
  selected,
  stateBadge,
} from './parts.ts';

/** What is called just as the search. */
export interface Found {
  readonly key: string;
  /** It is the key's own name, or the id of a job in its lane. */
  readonly by: 'key' | 'job';
}

export interface LanesView {
  readonly queue: string;
  readonly query: LanesQuery;
  readonly counts: LaneCounts;
  readonly lanes: LanePage;
  readonly found: readonly Found[];
  readonly veil: Veil;
}

export function lanesPage(frame: Frame, view: LanesView): Html {
  const { links } = frame;
  const { queue, query } = view;
  return page(
    frame,
    `${queue}: keys`,
    html`<div class="top"><h1>Keys of ${word(queue, 60)}</h1>${LIVE_SWITCH}</div>
${filterForm(links, queue, query)}
${livePart(links.live('lanes', { queue, ...query }), lanesPart(links, view))}`,
  );
}

/** The part that is kept up to date. */
export function lanesPart(links: Links, view: LanesView): Html {
  return html`${countsOf(view.counts)}
${view.found.map((one) => foundOne(links, view.queue, one))}
${rows(links, view)}
${more(links, view)}`;
}

function filterForm(links: Links, queue: string, { state, order, search }: LanesQuery): Html {
  return html`<form class="filter" method="get" action="${links.lanes('')}" role="search" aria-label="Keys">
<input type="hidden" name="queue" value="${queue}">
<label>Key or job <input type="search" name="search" value="${search ?? ''}" autocomplete="off" spellcheck="false"></label>
<label>State <select name="state">
<option value="">all</option>
<option value="held"${selected(state === 'held')}>held</option>
<option value="runnable"${selected(state === 'runnable')}>runnable</option>
</select></label>
<label>Order <select name="order">
<option value="">longest waiting first</option>
<option value="newest"${selected(order === 'newest')}>newest first</option>
</select></label>
<button>Show</button>
</form>`;
}

function countsOf(counts: LaneCounts): Html {
  const { keys, held, runnable, waiting, active, delayed, oldest, paused } = counts;
  return html`${paused ? html`<p class="notice warn">The queue is paused: no worker gets a job.</p>` : ''}
<dl class="counts">
${figure('Keys with jobs', count(keys))}
${figure('Held keys', count(held), held > 0)}
${figure('Runnable keys', count(runnable))}
${figure('Jobs waiting', count(waiting))}
${figure('Active', count(active))}
${figure('Delayed', count(delayed))}
${figure('Longest wait', duration(oldest?.ageMs))}
</dl>`;
}

function foundOne(links: Links, queue: string, { key, by }: Found): Html {
  const named = html`<a href="${links.lane(queue, key)}">${word(key)}</a>`;
  return html`<p class="notice good">${by === 'key' ? html`The key ${named}` : html`The job is in the lane of ${named}`}</p>`;
}

function figure(name: string, value: string, isBad = false): Html {
  return html`<div${isBad ? html` class="bad"` : ''}><dt>${name}</dt><dd>${value}</dd></div>`;
}

function rows(links: Links, { queue, lanes, query, veil }: LanesView): Html {
  if (lanes.lanes.length === 0) {
    const goesOn = lanes.cursor !== undefined;
    return html`<p class="empty">${
      goesOn
        ? 'None so far: there are more keys to look at.'
        : query.search === undefined && query.state === undefined
          ? 'No key has a job.'
          : 'No key with jobs is like that.'
    }</p>`;
  }
  return scrolling(
    'Keys',
    html`<table>
<thead><tr><th scope="col">Key</th><th scope="col">State</th><th scope="col" class="number">Waiting for</th><th scope="col" class="number">Jobs</th><th scope="col">First job</th></tr></thead>
<tbody>
${lanes.lanes.map((lane) => row(links, queue, lane, veil))}
</tbody></table>`,
  );
}

function row(links: Links, queue: string, lane: LaneSummary, veil: Veil): Html {
  const { key, ageMs, length, jobId, name } = lane;
  const state = veil.state(key, lane.state);
  return html`<tr><th scope="row"><a href="${links.lane(queue, key)}">${word(key)}</a></th>
<td>${stateBadge(state)} <span class="soft">${word(why({ state }).sentence, 200)}</span></td>
<td class="number">${duration(ageMs)}</td><td class="number">${count(length)}</td>
<td>${name === undefined ? '' : html`${word(name, 40)} `}<span class="soft">${word(jobId, 40)}</span></td></tr>`;
}

function more(links: Links, { queue, query, lanes }: LanesView): Html {
  const { cursor, ...rest } = query;
  const first =
    cursor === undefined ? NOTHING : html`<a href="${links.lanes(queue, rest)}">First page</a> `;
  const next =
    lanes.cursor === undefined
      ? NOTHING
      : html`<a href="${links.lanes(queue, { ...rest, cursor: lanes.cursor })}" rel="next">Next page</a>`;
  return html`<p class="more">${first}${next}</p>`;
}
