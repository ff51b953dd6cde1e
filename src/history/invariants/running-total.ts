/** The sum of something over all keys, kept up to date value by value. */
import type { TotalFacts } from './invariant.ts';

export type Sum = number | bigint;

export class RunningTotal {
  readonly #parts = new Map<string, Sum>();
  /** Keys whose value is not known, so that the sum is not either. */
  readonly #unknown = new Set<string>();
  /** 0 or 0n, as its parts are. */
  #zero: Sum = 0;
  #total: Sum = 0;
  #change: Sum = 0;
  /** Something has been counted. */
  hasCounted = false;

  get isKnown(): boolean {
    return this.#unknown.size === 0;
  }

  get total(): Sum {
    return this.#total;
  }

  get facts(): TotalFacts {
    return { change: this.#change, keys: this.#parts.size };
  }

  /**
   * The key's value counts so much now; undefined: it has none.
   * @param isFound it counted so before, only nobody knew
   * @throws Error if it is not a number as they must be
   */
  set(key: string, part: Sum | undefined, isFound: boolean): void {
    if (part !== undefined) {
      this.#check(part);
      this.hasCounted = true;
    }
    const before = this.#parts.get(key) ?? this.#zero;
    const difference = sum(part ?? this.#zero, before, -1);
    this.#total = sum(this.#total, difference);
    if (!isFound) this.#change = sum(this.#change, difference);
    if (part === undefined) this.#parts.delete(key);
    else this.#parts.set(key, part);
    this.#unknown.delete(key);
    this.#check(this.#total);
  }

  /** Its value is not known any more. @param isLeftOut and is not waited for */
  forget(key: string, isLeftOut: boolean): void {
    if (!isLeftOut) this.#unknown.add(key);
    else this.#unknown.delete(key);
  }

  #check(part: Sum): void {
    if (typeof part !== 'bigint' && !Number.isSafeInteger(part)) {
      throw new TypeError(
        `${String(part)} is no whole number up to 2^53: count in cents or the like, or in bigints`,
      );
    }
    if (typeof part === typeof this.#zero) return;
    if (this.#parts.size > 0) throw new TypeError('numbers and bigints do not add up');
    [this.#zero, this.#total, this.#change] =
      typeof part === 'bigint' ? [0n, BigInt(this.#total), BigInt(this.#change)] : [0, 0, 0];
  }
}

/** Both are numbers, or both are bigints. */
function sum(one: Sum, other: Sum, sign: 1 | -1 = 1): Sum {
  if (typeof one === 'bigint') return one + BigInt(sign) * (other as bigint);
  return one + sign * (other as number);
}
