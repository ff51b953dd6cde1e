/** How far something has come: a bar on a terminal, a line now and then elsewhere. On standard error. */
import { SingleBar } from 'cli-progress';
import { colours, grouped, note } from './terminal.ts';

/** Milliseconds between two lines where there is no terminal. */
const LINE_EVERY_MS = 2_000;

export interface Progress {
  update(done: number): void;
  /** Says something without disturbing the bar. */
  say(text: string): void;
  stop(): void;
}

/** `total` 0: not known, so only what is done is shown. */
export function startProgress(label: string, total: number, unit: string): Progress {
  return process.stderr.isTTY ? new Bar(label, total, unit) : new Lines(label, total, unit);
}

class Bar implements Progress {
  readonly #bar: SingleBar;

  constructor(label: string, total: number, unit: string) {
    const { cyan } = colours.err;
    const format =
      total > 0
        ? `${label} ${cyan('{bar}')} {percentage} %  {value}/{total} ${unit}  {duration_formatted}`
        : `${label} {value} ${unit}  {duration_formatted}`;
    this.#bar = new SingleBar({
      format,
      stream: process.stderr,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 30,
      fps: 10,
      hideCursor: true,
      linewrap: false,
      formatValue: (value, _options, type) =>
        type === 'value' || type === 'total' ? grouped(value) : String(value),
    });
    this.#bar.start(total, 0);
  }

  update(done: number): void {
    this.#bar.update(done);
  }

  say(text: string): void {
    process.stderr.write('\r\u001b[K'); // over the bar, which is drawn again below
    note(text);
    this.#bar.render();
  }

  stop(): void {
    this.#bar.stop();
  }
}

class Lines implements Progress {
  readonly #label: string;
  readonly #total: number;
  readonly #unit: string;
  #saidAtMs: number = performance.now();

  constructor(label: string, total: number, unit: string) {
    this.#label = label;
    this.#total = total;
    this.#unit = unit;
  }

  update(done: number): void {
    const nowMs = performance.now();
    if (nowMs - this.#saidAtMs < LINE_EVERY_MS) return;
    this.#saidAtMs = nowMs;
    const of = this.#total > 0 ? ` of ${grouped(this.#total)}` : '';
    note(`${this.#label}: ${grouped(done)}${of} ${this.#unit}`);
  }

  say(text: string): void {
    note(text);
  }

  stop(): void {
    // nothing to take down
  }
}
