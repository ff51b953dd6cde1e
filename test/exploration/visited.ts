/**
 * The states that were seen, as 64 bits of hash each: ten million states of three hundred bytes would
 * not fit into memory. Two states with the same bits would hide one of them: among ten million the
 * chance is 1 in 370,000.
 */
const FULL_SHARE = 0.7;

export class Visited {
  #slots: number;
  #high: Uint32Array;
  #low: Uint32Array;
  /** By slot: the state's number. */
  #numbers: Uint32Array;
  #count = 0;
  #high32 = 0;
  #low32 = 0;

  constructor(slots = 2 ** 16) {
    this.#slots = slots;
    this.#high = new Uint32Array(slots);
    this.#low = new Uint32Array(slots);
    this.#numbers = new Uint32Array(slots);
  }

  get size(): number {
    return this.#count;
  }

  /** The state's number: states are counted from 0 as they are found, so a new one's is the size before. */
  numberOf(words: Int32Array, length: number): number {
    this.#hash(words, length);
    if (this.#count >= this.#slots * FULL_SHARE) this.#grow();
    const slot = this.#slotOf(this.#high32, this.#low32);
    if (this.#high[slot] === 0 && this.#low[slot] === 0) {
      this.#high[slot] = this.#high32;
      this.#low[slot] = this.#low32;
      this.#numbers[slot] = this.#count++;
    }
    return this.#numbers[slot] as number;
  }

  #hash(words: Int32Array, length: number): void {
    let high = 0x9e3779b9;
    let low = 0x85ebca6b;
    for (let at = 0; at < length; at++) {
      const word = words[at] as number;
      high = mix(high ^ word, 0x2c1b3c6d) + low;
      low = mix(low + word, 0x297a2d39) ^ high;
    }
    high = mix(high ^ length, 0x7feb352d) >>> 0;
    low = mix(low ^ high, 0x846ca68b) >>> 0;
    if (high === 0 && low === 0) low = 1; // marks a free slot
    this.#high32 = high;
    this.#low32 = low;
  }

  /** Where it is, or would be. */
  #slotOf(high: number, low: number): number {
    let slot = (low ^ Math.imul(high, 0x9e3779b1)) & (this.#slots - 1);
    for (;;) {
      const h = this.#high[slot] as number;
      const l = this.#low[slot] as number;
      if ((h === high && l === low) || (h === 0 && l === 0)) return slot;
      slot = (slot + 1) & (this.#slots - 1);
    }
  }

  #grow(): void {
    const high = this.#high;
    const low = this.#low;
    const numbers = this.#numbers;
    this.#slots *= 2;
    this.#high = new Uint32Array(this.#slots);
    this.#low = new Uint32Array(this.#slots);
    this.#numbers = new Uint32Array(this.#slots);
    for (let old = 0; old < high.length; old++) {
      const h = high[old] as number;
      const l = low[old] as number;
      if (h === 0 && l === 0) continue;
      const slot = this.#slotOf(h, l);
      this.#high[slot] = h;
      this.#low[slot] = l;
      this.#numbers[slot] = numbers[old] as number;
    }
  }
}

/** lowbias32 (Chris Wellons, public domain), with a factor of its own for each use. */
function mix(word: number, factor: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, factor);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x846ca68b);
  return mixed ^ (mixed >>> 16);
}
