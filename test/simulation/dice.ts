/** Seeded chance for a simulation: fast, and the same in every process. */
import { hash32 } from '../../src/base/random.ts';

export class Dice {
  #state: number;

  /** Dice of different purposes are independent: a draw more in one changes nothing in the others. */
  constructor(seed: number, purpose: string) {
    this.#state = (hash32(purpose) ^ Math.imul(seed + 1, 0x9e3779b1)) | 0;
    for (let warmUp = 0; warmUp < 4; warmUp++) this.fraction();
  }

  /** In [0, 1): mulberry32 (Tommy Ettinger, public domain). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  /** A whole number from `least` to `most`. */
  whole(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  between(least: number, most: number): number {
    return least + this.fraction() * (most - least);
  }

  /**
   * Each order of magnitude is as likely as the next: what comes is short or long, seldom the mean. Not by `**`: one in ten
   * powers has another last bit in V8 15.0 than in 11.3, and so seed 13 went another way in a browser than in Node 20.
   */
  magnitude(least: number, most: number): number {
    return least * Math.exp(this.fraction() * Math.log(most / least));
  }

  pick<const T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new Error('nothing to pick from');
    return choices[this.below(choices.length)] as T;
  }

  id(): string {
    return this.below(2 ** 32)
      .toString(16)
      .padStart(8, '0');
  }
}
