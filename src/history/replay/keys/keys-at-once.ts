/**
 * Keys whose updates are asynchronous, many at once: a key's commits wait for those before them, and for
 * nobody else's. What is read ahead of them is bounded.
 */
import { TorilError } from '../../../errors.ts';

/** Commits that were read and are not folded yet, and characters of their lines: the memory that they take. */
const COMMITS_MAX = 1_000;
const CHARACTERS_MAX = 2 ** 24;
export const KEYS_AT_ONCE = 100;

export class KeysAtOnce {
  readonly #keysMax: number;
  /** Of each key that is busy, the promise of its last commit. None rejects. */
  readonly #busy = new Map<string, Promise<void>>();
  #commits = 0;
  #characters = 0;
  /** Something was asynchronous. */
  wasBusy = false;
  #failure: { readonly thrown: unknown } | undefined;
  #wake: () => void = () => undefined;

  /** @throws TorilError INVALID_OPTIONS */
  constructor(keysMax: number) {
    if (!Number.isInteger(keysMax) || keysMax < 1) {
      throw new TorilError(
        'INVALID_OPTIONS',
        `keysAtOnce must be a whole number from 1, not ${keysMax}.`,
      );
    }
    this.#keysMax = keysMax;
  }

  /**
   * @param fold one commit of the key; without a promise, if nothing of it was asynchronous
   * @param characters of its line
   * @returns a promise that there is room for the next one; undefined: there is
   * @throws what an earlier one threw
   */
  next(key: string, characters: number, fold: () => void | Promise<void>): void | Promise<void> {
    this.#rethrow();
    const folding = this.#behind(this.#busy.get(key), fold);
    return folding && this.#begun([key], characters, folding);
  }

  /** The same for a commit of several keys. */
  nextOf(
    keys: readonly string[],
    characters: number,
    fold: () => void | Promise<void>,
  ): void | Promise<void> {
    this.#rethrow();
    const before = keys.flatMap((key) => this.#busy.get(key) ?? []);
    const isFree = before.length === 0;
    const folding = this.#behind(isFree ? undefined : Promise.all(before), fold);
    return folding && this.#begun(keys, characters, folding);
  }

  #behind(
    before: Promise<unknown> | undefined,
    fold: () => void | Promise<void>,
  ): void | Promise<void> {
    return before === undefined
      ? fold()
      : before.then(() => (this.#failure === undefined ? fold() : undefined));
  }

  #begun(
    keys: readonly string[],
    characters: number,
    folding: Promise<void>,
  ): void | Promise<void> {
    this.wasBusy = true;
    this.#commits += 1;
    this.#characters += characters;
    const settled = folding
      .catch((thrown: unknown) => {
        this.#failure ??= { thrown };
      })
      .then(() => {
        this.#commits -= 1;
        this.#characters -= characters;
        for (const key of keys) if (this.#busy.get(key) === settled) this.#busy.delete(key);
        this.#wake();
      });
    for (const key of keys) this.#busy.set(key, settled);
    return this.#isFull() ? this.#room() : undefined;
  }

  /** Once nothing is under way any more. Never rejects. */
  async idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy.values());
  }

  /** @throws what a commit threw */
  async end(): Promise<void> {
    await this.idle();
    this.#rethrow();
  }

  #isFull(): boolean {
    return (
      this.#busy.size >= this.#keysMax ||
      this.#commits >= COMMITS_MAX ||
      this.#characters >= CHARACTERS_MAX
    );
  }

  async #room(): Promise<void> {
    // Not by Promise.race: what it listens to on a slow key's promise would stay until that settles.
    while (this.#isFull()) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#rethrow();
  }

  #rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }
}
