/** The lanes' order in memory: per key, job ids with their sequences, and the counter from which these are drawn. */
import type { Clock } from '../../base/clock.ts';

/** A number is always drawn above all others, so insertion is order. */
type Lane = Map<string, number>;
export type Entry = readonly [jobId: string, sequence: number];

export class LaneOrders {
  readonly #clock: Clock;
  readonly #lanes = new Map<string, Lane>();
  #lastDrawn = 0;

  /** @param clock of the Redis server */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The counter of sequences and tokens: `max(last + 1, time in µs)`. */
  draw(): number {
    this.#lastDrawn = this.next;
    return this.#lastDrawn;
  }

  /** What is drawn next, at least. */
  get next(): number {
    return Math.max(this.#lastDrawn + 1, this.nowMicros());
  }

  get lastDrawn(): number {
    return this.#lastDrawn;
  }

  /** Nothing up to there is drawn any more. */
  skipTo(number: number): void {
    this.#lastDrawn = Math.max(this.#lastDrawn, number);
  }

  nowMicros(): number {
    return Math.floor(this.#clock.wallMs() * 1000);
  }

  /** Of lanes that are not empty. */
  keys(): string[] {
    return [...this.#lanes.keys()];
  }

  length(key: string): number {
    return this.#lanes.get(key)?.size ?? 0;
  }

  /** Undefined: it is not in the lane. */
  sequenceOf(key: string, jobId: string): number | undefined {
    return this.#lanes.get(key)?.get(jobId);
  }

  has(key: string, jobId: string): boolean {
    return this.sequenceOf(key, jobId) !== undefined;
  }

  /** -1: it is not in the lane. */
  rank(key: string, jobId: string): number {
    return [...(this.#lanes.get(key)?.keys() ?? [])].indexOf(jobId);
  }

  first(key: string): string | undefined {
    const [first] = this.#lanes.get(key)?.keys() ?? [];
    return first;
  }

  lastSequence(key: string): number | undefined {
    return [...(this.#lanes.get(key)?.values() ?? [])].at(-1);
  }

  head(key: string, jobsMax: number): Entry[] {
    const head: Entry[] = [];
    for (const entry of this.#lanes.get(key) ?? []) {
      if (head.length >= jobsMax) break;
      head.push(entry);
    }
    return head;
  }

  upTo(key: string, watermark: number): Entry[] {
    return [...(this.#lanes.get(key) ?? [])].filter(([, sequence]) => sequence <= watermark);
  }

  firstAfter(key: string, watermark: number): string | undefined {
    return [...(this.#lanes.get(key) ?? [])].find(([, sequence]) => sequence > watermark)?.[0];
  }

  /** At the end, also if a former job of this id is in it still. */
  enter(key: string, jobId: string, sequence: number = this.draw()): number {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = new Map();
      this.#lanes.set(key, lane);
    }
    lane.delete(jobId);
    lane.set(jobId, sequence);
    return sequence;
  }

  leave(key: string, jobId: string): void {
    const lane = this.#lanes.get(key);
    lane?.delete(jobId);
    if (lane?.size === 0) this.#lanes.delete(key);
  }
}
