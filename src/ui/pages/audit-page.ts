/** Who did what, when, and what came of it. */
import type { AuditedAct, AuditPage } from '../../jobs/audit-trail.ts';
import type { Links } from '../links.ts';
import { word } from './foreign-text.ts';
import { type Frame, page } from './frame.ts';
import { html, type Html } from './html.ts';
import { laneLinks, moment, scrolling } from './parts.ts';

export interface AuditView {
  readonly queue: string;
  /** Acts on this key only. */
  readonly key: string | undefined;
  readonly trail: AuditPage;
}

export function auditPage(frame: Frame, { queue, key, trail }: AuditView): Html {
  const { links } = frame;
  const { acts, before } = trail;
  const about = key === undefined ? word(queue, 60) : word(key);
  return page(
    frame,
    `${queue}: audit`,
    html`<h1>Who did what: ${about}</h1>
${acts.length === 0 ? html`<p class="empty">${before === undefined ? 'Nobody has acted.' : 'None so far: there are older acts to look at.'}</p>` : actsTable(links, queue, acts, key === undefined)}
<p class="more">${before === undefined ? '' : html`<a href="${links.audit(queue, { key, before })}" rel="next">Older acts</a>`}</p>`,
  );
}

export function actsTable(
  links: Links,
  queue: string,
  acts: readonly AuditedAct[],
  withKeys: boolean,
): Html {
  return scrolling(
    'Acts',
    html`<table>
<thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th>${withKeys ? html`<th scope="col">Key</th>` : ''}<th scope="col">Job</th><th scope="col">What came of it</th></tr></thead>
<tbody>${acts.map(
      (
        act,
      ) => html`<tr id="act-${act.id}"><td>${moment(act.atMs)}</td><td>${word(act.who, 60)}</td><td>${word(act.what, 40)}</td>
${withKeys ? html`<td>${keysOf(links, queue, act)}</td>` : ''}
<td>${word(act.jobId, 60)}</td><td>${endOf(act)}</td></tr>`,
    )}</tbody></table>`,
  );
}

function keysOf(links: Links, queue: string, { key, keys }: AuditedAct): Html {
  if (key === '') return html`<span class="soft">the queue</span>`;
  return laneLinks(links, queue, keys ?? [key]);
}

function endOf({ end }: AuditedAct): Html {
  if (end === undefined)
    return html`<span class="state warn">not known</span> it is under way, or nobody was told`;
  const result = word(end.result, 300);
  if (end.kind === 'done') return html`<span class="state good">done</span> ${result}`;
  return html`<span class="state bad">${word(end.code, 40)}</span> ${result}`;
}

/** For whoever has just done it. */
export function endNotice(act: AuditedAct): Html {
  const tone = act.end === undefined ? 'warn' : act.end.kind === 'done' ? 'good' : 'bad';
  return html`<p class="notice ${tone}" role="status"><strong>${word(act.what, 40)}</strong>: ${endOf(act)}</p>`;
}
