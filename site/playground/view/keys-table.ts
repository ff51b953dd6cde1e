/** How each key stands at one moment, and what has just changed. */
import type { KeyState, Value } from '../key-watch.ts';
import { element } from './elements.ts';

export class KeysTable {
  readonly element: HTMLElement;
  readonly #rows = element('tbody');

  constructor() {
    const heads = ['key', 'lane in Redis', 'lease', 'cell in memcached', 'copy in Redis'];
    this.element = element(
      'div',
      { class: 'table' },
      element(
        'table',
        {},
        element('caption', {}, 'What is kept at this moment; jobs by number'),
        element('thead', {}, element('tr', {}, ...heads.map((head) => columnHead(head)))),
        this.#rows,
      ),
    );
  }

  /** @param before how they stood a step earlier */
  show(keys: readonly KeyState[], before: readonly KeyState[]): void {
    this.#rows.replaceChildren(
      ...keys.map((state, at) => {
        const texts = textsOf(state);
        const earlier = before[at] === undefined ? texts : textsOf(before[at]);
        const cells = texts.map((text, column) =>
          element('td', { class: text === earlier[column] ? undefined : 'changed' }, text),
        );
        return element('tr', {}, element('th', { scope: 'row' }, state.key), ...cells);
      }),
    );
  }
}

function columnHead(text: string): HTMLElement {
  return element('th', { scope: 'col' }, text);
}

function textsOf({ lane, holder, cell, copy }: KeyState): string[] {
  return [lane.length === 0 ? 'empty' : lane.join(' '), holder ?? 'free', text(cell), text(copy)];
}

/** Tokens are microseconds since 1970: their last digits tell them apart. */
const TOKEN_DIGITS = 8;

function text(value: Value): string {
  if ('none' in value) return value.none;
  const jobs = value.jobs.length === 0 ? 'no job' : value.jobs.join(' ');
  return `${jobs} (token …${String(value.token).slice(-TOKEN_DIGITS)})`;
}
