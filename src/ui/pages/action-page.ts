/** Asks once more before something is done. */
import { isJobAction } from '../../jobs/reports/why.ts';
import type { BoardAction } from '../board.ts';
import { word } from './foreign-text.ts';
import { type Frame, page } from './frame.ts';
import { html, type Html } from './html.ts';

interface Told {
  readonly name: string;
  /** What it will do. */
  readonly effect: string;
  /** It takes something away for good. */
  readonly isFinal: boolean;
}

const ACTIONS: Readonly<Record<BoardAction, Told>> = {
  retry: {
    name: 'Retry',
    effect: 'Its update is called again, with a fresh count of attempts.',
    isFinal: false,
  },
  skip: {
    name: 'Skip',
    effect: 'It goes to the end of the lane, where it is tried again; the jobs behind it go on.',
    isFinal: false,
  },
  drop: {
    name: 'Drop',
    effect: 'It fails for good and its update is not applied; the jobs behind it go on.',
    isFinal: true,
  },
  'trust-cell': {
    name: 'Trust the cell',
    effect:
      'The value in memcached is taken for true: the copy in Redis becomes what the cell says.',
    isFinal: true,
  },
  'trust-copy': {
    name: 'Trust the copy',
    effect:
      'The value in Redis is taken for true: the cell in memcached is deleted, and restored by the next job.',
    isFinal: true,
  },
  resume: {
    name: 'Resume the queue',
    effect: 'Workers get the jobs of all keys of the queue again.',
    isFinal: false,
  },
};

export function actionName(action: BoardAction): string {
  return ACTIONS[action].name;
}

export function isBoardAction(text: string | undefined): text is BoardAction {
  return text !== undefined && Object.hasOwn(ACTIONS, text);
}

export interface ActionView {
  readonly queue: string;
  readonly key: string;
  readonly action: BoardAction;
  readonly jobId: string;
  readonly formToken: string;
  /** All keys that it is about. */
  readonly keys: readonly string[];
}

export function actionPage(frame: Frame, view: ActionView): Html {
  const { links } = frame;
  const { queue, key, action, jobId, formToken, keys } = view;
  const { name, effect, isFinal } = ACTIONS[action];
  const others = keys.filter((one) => one !== key);
  return page(
    frame,
    `${name}: ${key}`,
    html`<div class="card"><h1>${name}?</h1>
<p>Key <strong>${word(key, 1024)}</strong>${isJobAction(action) ? html`, job <strong>${word(jobId)}</strong>` : ''}</p>
${others.length === 0 ? '' : html`<p>It concerns other keys as well: ${others.map((one) => html`<strong>${word(one, 1024)}</strong> `)}</p>`}
<p>${effect}${isFinal ? ' This cannot be undone.' : ''}</p>
<form method="post" action="${links.act(queue, key, action, jobId)}">
<input type="hidden" name="form" value="${formToken}">
<p class="row"><button class="${isFinal ? 'danger' : 'main-button'}">${name}</button> <a href="${links.lane(queue, key)}">Cancel</a></p>
</form></div>`,
  );
}
