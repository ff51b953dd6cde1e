/** One run, to be stepped through. */
import { commandOf } from '../setup.ts';
import type { Moment, Story } from '../story.ts';
import { button, element } from './elements.ts';
import { KeysTable } from './keys-table.ts';
import { legend, TimeLine } from './time-line.ts';

/** Milliseconds per moment while it plays. */
const PLAY_MS = 120;

export class Stage {
  readonly element: HTMLElement;
  readonly #story: Story;
  readonly #timeLine: TimeLine;
  readonly #keys = new KeysTable();
  readonly #slider: HTMLInputElement;
  readonly #list: HTMLOListElement;
  readonly #play: HTMLButtonElement;
  #step = 0;
  #playing: ReturnType<typeof setInterval> | undefined;

  constructor(story: Story) {
    this.#story = story;
    this.#timeLine = new TimeLine(story, (step) => this.#go(step));
    this.#slider = element('input', {
      type: 'range',
      min: 0,
      max: this.#last,
      'aria-label': 'Moment',
    });
    this.#slider.addEventListener('input', () => this.#go(this.#slider.valueAsNumber));
    this.#play = button('Play', () => this.#toggle());
    this.#list = listOf(story.moments);
    this.#list.addEventListener('click', ({ target }) => {
      const row = target instanceof Element ? target.closest('li') : null;
      if (row !== null) this.#go([...this.#list.children].indexOf(row));
    });
    this.element = element(
      'div',
      { class: 'stage' },
      this.#timeLine.element,
      legend(),
      this.#slider,
      element(
        'div',
        { class: 'row', role: 'group', 'aria-label': 'Stepping' },
        button('First', () => this.#go(0)),
        button('Back', () => this.#go(this.#step - 1)),
        this.#play,
        button('Next', () => this.#go(this.#step + 1)),
        button('Last', () => this.#go(this.#last)),
      ),
      this.#keys.element,
      this.#list,
      repeatIt(story),
    );
  }

  /** Once it is in the page. */
  begin(): void {
    this.#go(this.#last);
  }

  end(): void {
    clearInterval(this.#playing);
  }

  get #last(): number {
    return this.#story.moments.length - 1;
  }

  #go(step: number): void {
    const { moments } = this.#story;
    const wanted = Math.min(Math.max(step, 0), this.#last);
    const moment = moments[wanted];
    if (moment === undefined) return;
    this.#list.children[this.#step]?.removeAttribute('aria-current');
    this.#step = wanted;
    this.#timeLine.show(wanted);
    this.#slider.value = String(wanted);
    this.#slider.setAttribute(
      'aria-valuetext',
      `${wanted + 1} of ${moments.length}: ${lineOf(moment)}`,
    );
    this.#keys.show(moment.keys, moments[wanted - 1]?.keys ?? []);
    const row = this.#list.children[wanted] as HTMLElement;
    row.setAttribute('aria-current', 'step');
    // Not scrollIntoView, which would move the page, too.
    this.#list.scrollTop = row.offsetTop - this.#list.offsetTop - this.#list.clientHeight / 2;
  }

  #toggle(): void {
    if (this.#playing !== undefined) return this.#stop();
    if (this.#step === this.#last) this.#go(0);
    this.#play.textContent = 'Pause';
    this.#playing = setInterval(() => {
      if (this.#step === this.#last) this.#stop();
      else this.#go(this.#step + 1);
    }, PLAY_MS);
  }

  #stop(): void {
    clearInterval(this.#playing);
    this.#playing = undefined;
    this.#play.textContent = 'Play';
  }
}

function lineOf({ atMs, who, what }: Moment): string {
  return `${atMs.toFixed(2)} ms, ${who === '*' ? 'fault' : who}: ${what}`;
}

function listOf(moments: readonly Moment[]): HTMLOListElement {
  const rows = moments.map((moment) => element('li', { class: moment.sort }, lineOf(moment)));
  return element('ol', { class: 'moments', tabindex: 0, 'aria-label': 'All moments' }, ...rows);
}

function repeatIt({ setup }: Story): HTMLElement | undefined {
  const command = commandOf(setup);
  if (command === undefined) return undefined;
  return element('p', {}, 'The same run in a terminal: ', element('code', {}, command));
}
