/** One key: why it stands where it stands, its value, its lane, what was committed, who did what. */
import type { AuditedAct } from '../../jobs/audit-trail.ts';
import type { LaneJobReport, LaneReport } from '../../jobs/reports/lane-report.ts';
import { refusedText } from '../../jobs/reports/lane-past.ts';
import { why } from '../../jobs/reports/why.ts';
import type { CellSight, CommitsSight, LaneSight } from '../board.ts';
import type { Links } from '../links.ts';
import type { May } from '../options.ts';
import type { Veil } from '../veil.ts';
import { actionName } from './action-page.ts';
import { actsTable, endNotice } from './audit-page.ts';
import { commitsPart } from './commits-part.ts';
import { word } from './foreign-text.ts';
import { type Frame, page } from './frame.ts';
import { html, NOTHING, type Html } from './html.ts';
import {
  count,
  duration,
  fact,
  laneLinks,
  LIVE_SWITCH,
  livePart,
  scrolling,
  stateBadge,
  toneOf,
} from './parts.ts';
import { valueBlock } from './value-block.ts';

export interface LaneView {
  readonly queue: string;
  /** BullMQ's plain name of it. */
  readonly name: string;
  readonly key: string;
  readonly sight: LaneSight;
  readonly commits: CommitsSight;
  readonly acts: readonly AuditedAct[];
  readonly veil: Veil;
  readonly may: May;
}

/** @param done the act that the visitor has just done */
export function lanePage(frame: Frame, view: LaneView, done: AuditedAct | undefined): Html {
  const { links } = frame;
  const { queue, key } = view;
  return page(
    frame,
    key,
    html`<div class="top"><h1>${word(key, 1024)}</h1>${LIVE_SWITCH}</div>
${done === undefined ? '' : endNotice(done)}
${livePart(links.live('lane', { queue, key }), lanePart(links, view))}`,
  );
}

/** The part that is kept up to date. */
export function lanePart(links: Links, view: LaneView): Html {
  const { queue, key, sight, veil, commits, acts } = view;
  const report = veil.report(sight.report);
  return html`${whyPart(links, view, report)}
${factsOf(report)}
${valuePart(links, view, report)}
<h2>Lane</h2>
${jobsTable(links, view, report)}
<h2>Last commits</h2>
${commitsPart(commits, { links, queue, key, veil }, report)}
<h2>Who did what</h2>
${acts.length === 0 ? html`<p class="soft">Nobody has acted on this key.</p>` : html`${actsTable(links, queue, acts, false)}<p class="more"><a href="${links.audit(queue, { key })}">All acts on this key</a></p>`}`;
}

function whyPart(links: Links, { queue, key, may }: LaneView, report: LaneReport): Html {
  const { sentence, advice, actions, at } = why(report);
  const jobId = report.jobs[0]?.jobId ?? '';
  const offers = actions.map(
    (action) =>
      html`<li><a class="button" href="${links.act(queue, key, action, jobId)}">${actionName(action)}</a></li>`,
  );
  return html`<section class="why tone-${toneOf(report.state)}" aria-label="Why">
<p class="sentence">${stateBadge(report.state)} ${word(sentence, 600)}</p>
${advice === '' ? '' : html`<p class="soft">${word(advice, 400)}</p>`}
${at === undefined ? '' : html`<p>Go to ${laneLinks(links, queue, [at])}</p>`}
${offers.length === 0 ? '' : may === 'write' ? html`<ul class="actions" aria-label="Actions">${offers}</ul>` : html`<p class="soft">You may read, not act.</p>`}
</section>`;
}

function factsOf(report: LaneReport): Html {
  const { length, headAgeMs, expectedWaitMs, paceMs, token, watermark, refusedCommits } = report;
  return html`<dl class="facts">
${fact('Jobs in the lane', count(length))}
${fact('First one waits for', length === 0 ? '–' : duration(headAgeMs))}
${fact('Expected wait', expectedWaitMs === 0 ? '–' : duration(expectedWaitMs))}
${fact('Per job', paceMs === 0 ? '–' : duration(paceMs))}
${fact('Fencing token', token === 0 ? 'no commit yet' : String(token))}
${fact('Watermark', String(watermark))}
${fact('Refused commits', refusedText(refusedCommits) || 'none')}
</dl>`;
}

function valuePart(links: Links, view: LaneView, report: LaneReport): Html {
  const { queue, key, sight, veil } = view;
  const { cell } = sight;
  const isCell = cell.kind === 'cell';
  const value = isCell ? veil.value(key, cell.value) : report.copy;
  return html`<h2>Value</h2>
<p class="soft">${whence(cell, report)}</p>
${value === undefined ? NOTHING : html`${valueBlock(value)}<p class="more"><a href="${links.value(queue, key)}">The whole value as JSON</a></p>`}`;
}

function whence(cell: CellSight, { token, copy }: LaneReport): Html | string {
  const ofCopy =
    copy === undefined ? 'Redis keeps no copy of a value' : 'this is the copy in Redis';
  switch (cell.kind) {
    case 'not-asked':
      return `Memcached was not asked: ${ofCopy}.`;
    case 'none':
      return `Memcached has no cell: ${ofCopy}.`;
    case 'unusable':
      return html`The cell cannot be used (${cell.code}: ${word(cell.reason, 300)}); ${ofCopy}.`;
    case 'cell':
      if (cell.value === undefined) return 'The value was deleted.';
      if (cell.token === token) return `As in memcached, of the commit ${cell.token}.`;
      return `As in memcached, of the commit ${cell.token}; Redis has acknowledged ${token === 0 ? 'none' : token}.`;
  }
}

function jobsTable(links: Links, view: LaneView, report: LaneReport): Html {
  const { jobs, length } = report;
  if (length === 0) return html`<p class="soft">No job waits.</p>`;
  const rest = length - jobs.length;
  return html`${scrolling(
    'Lane',
    html`<table>
<thead><tr><th scope="col">Job</th><th scope="col">Update</th><th scope="col">State</th><th scope="col" class="number">Attempts</th><th scope="col" class="number">Sequence</th><th scope="col">Failed because</th></tr></thead>
<tbody>${jobs.map((job) => jobRow(links, view, job))}</tbody></table>`,
  )}
${rest > 0 ? html`<p class="soft">and ${count(rest)} more</p>` : ''}`;
}

function jobRow(links: Links, view: LaneView, job: LaneJobReport): Html {
  const { jobId, name, state, attemptsMade, sequence, failedReason, keys = [] } = job;
  const board = links.bullBoard(view.name, jobId);
  const others = keys.filter((key) => key !== view.key);
  const named = word(jobId, 60);
  return html`<tr><th scope="row">${board === undefined ? named : html`<a href="${board}">${named}</a>`}</th>
<td>${word(name, 60)}${others.length === 0 ? '' : html` <span class="soft">with</span> ${laneLinks(links, view.queue, others)}`}</td><td>${state}</td><td class="number">${attemptsMade}</td><td class="number">${String(sequence)}</td><td>${word(failedReason ?? '', 200)}</td></tr>`;
}
