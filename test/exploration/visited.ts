/**
 * The states that were seen, as 64 bits of hash each in a table of its own: ten million states of
 * three hundred bytes would not fit into memory. Two states with the same bits would hide one of them:
 * among ten million the chance is 1 in 370,000.
 */
const FULL_SHARE = 0.7;

export class Visited {
  #slots: number;
  #high: Uint32Array;
  #low: Uint32Array;
  #count = 0;

  constructor(slots = 2 ** 20) {
    this.#slots = slots;
    this.#high = new Uint32Array(slots);
    this.#low = new Uint32Array(slots);
  }

  get size(): number {
    return this.#count;
  }

  /** True: it is new. */
  add(words: Int32Array, length: number): boolean {
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
    if (this.#count >= this.#slots * FULL_SHARE) this.#grow();
    return this.#insert(high, low);
  }

  #insert(high: number, low: number): boolean {
    let slot = (low ^ Math.imul(high, 0x9e3779b1)) & (this.#slots - 1);
    for (;;) {
      const h = this.#high[slot] as number;
      const l = this.#low[slot] as number;
      if (h === 0 && l === 0) break;
      if (h === high && l === low) return false;
      slot = (slot + 1) & (this.#slots - 1);
    }
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#count++;
    return true;
  }

  #grow(): void {
    const high = this.#high;
    const low = this.#low;
    this.#slots *= 2;
    this.#high = new Uint32Array(this.#slots);
    this.#low = new Uint32Array(this.#slots);
    this.#count = 0;
    for (let slot = 0; slot < high.length; slot++) {
      const h = high[slot] as number;
      const l = low[slot] as number;
      if (h !== 0 || l !== 0) this.#insert(h, l);
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
