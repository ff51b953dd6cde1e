/** Small things that several pages show. */
import { durationText } from '../../base/duration-text.ts';
import { isoTime } from '../../base/clock.ts';
import { grouped } from '../../base/grouped.ts';
import type { LaneState } from '../../jobs/reports/lane-report.ts';
import type { Links } from '../links.ts';
import { word } from './foreign-text.ts';
import { html, joined, NOTHING, type Html } from './html.ts';

type Tone = 'good' | 'warn' | 'bad';

/** A word for each state, and how much it should be looked at. */
const STATES: Readonly<Record<LaneState['kind'], readonly [word: string, tone: Tone]>> = {
  empty: ['empty', 'good'],
  working: ['working', 'good'],
  delivered: ['delivered', 'good'],
  queued: ['queued', 'good'],
  backoff: ['backoff', 'warn'],
  delayed: ['delayed', 'good'],
  snoozed: ['snoozed', 'good'],
  lease: ['waits for a lease', 'warn'],
  'rate-limited': ['limited', 'warn'],
  paused: ['paused', 'warn'],
  'concurrency-limited': ['limited', 'warn'],
  'no-workers': ['no workers', 'bad'],
  'unknown-update': ['unknown update', 'bad'],
  'other-lane': ['waits for a key', 'warn'],
  'lanes-apart': ['lanes apart', 'bad'],
  children: ['waits for children', 'good'],
  held: ['held', 'bad'],
  commanded: ['decided', 'good'],
  'job-gone': ['job gone', 'warn'],
  'not-applied': ['not applied', 'bad'],
  stalled: ['stalled', 'warn'],
  memcached: ['memcached', 'bad'],
  cell: ['cell unusable', 'bad'],
  'other-servers': ['other servers', 'bad'],
  redis: ['Redis', 'bad'],
};

export function toneOf({ kind }: LaneState): Tone {
  return STATES[kind][1];
}

export function stateBadge(state: LaneState): Html {
  const [word, tone] = STATES[state.kind];
  return html`<span class="state ${tone}">${word}</span>`;
}

export function moment(wallMs: number): Html {
  const iso = isoTime(wallMs);
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`;
}

export function duration(ms: number | undefined): string {
  return ms === undefined ? '–' : durationText(ms);
}

export function count(of: number): string {
  return grouped(of);
}

/** Several keys, each with a link to its page. */
export function laneLinks(links: Links, queue: string, keys: readonly string[]): Html {
  return joined(
    keys.map(
      (key, at) =>
        html`${at === 0 ? '' : ', '}<a href="${links.lane(queue, key)}">${word(key)}</a>`,
    ),
  );
}

export function fact(name: string, value: Html | string): Html {
  return html`<dt>${name}</dt><dd>${value}</dd>`;
}

/** The switch for what is live; without JavaScript there is nothing to switch. */
export const LIVE_SWITCH: Html = html`<p class="live"><span id="live-said" role="status"></span> <button id="live-toggle" class="quiet" type="button" hidden>Pause</button></p>`;

export function livePart(from: string, content: Html): Html {
  return html`<div id="live" data-from="${from}">${content}</div>`;
}

/** A table that scrolls by itself where it is too wide, which the keyboard can do as well. */
export function scrolling(name: string, table: Html): Html {
  return html`<div class="table" role="region" aria-label="${name}" tabindex="0">${table}</div>`;
}

export function selected(is: boolean): Html {
  return is ? html` selected` : NOTHING;
}
