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
  readonly #total: number;
  readonly #startedMs: number = performance.now();
  #done = 0;

  constructor(label: string, total: number, unit: string) {
    const { cyan } = colours.err;
    const format =
      total > 0
        ? `${label} ${cyan('{bar}')} {percentage} %  {value}/{total} ${unit}  {seconds} s`
        : `${label} {value} ${unit}  {seconds} s`;
    this.#total = total;
    this.#bar = new SingleBar({
      format,
      stream: process.stderr,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 30,
      fps: 10,
      hideCursor: true,
      linewrap: false,
      clearOnComplete: true,
      gracefulExit: false, // signals are for signals.ts
      formatValue: (value, _options, type) =>
        type === 'value' || type === 'total' ? grouped(value) : String(value),
    });
    this.#start();
  }

  update(done: number): void {
    this.#done = done;
    this.#bar.update(done, this.#payload());
  }

  /** The bar goes back to where it was started when it stops, so it must not stand above other lines. */
  say(text: string): void {
    this.#bar.stop();
    note(text);
    this.#start();
  }

  stop(): void {
    this.#bar.stop();
  }

  #start(): void {
    this.#bar.start(this.#total, this.#done, this.#payload());
  }

  #payload(): { seconds: number } {
    return { seconds: Math.round((performance.now() - this.#startedMs) / 1000) };
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
