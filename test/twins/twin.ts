/**
 * A broken twin: the product with one guard taken away. The proofs (simulation, search, tests) must
 * notice each of them; a guard whose absence nothing notices is either needless or untested.
 */
export interface Twin {
  readonly name: string;
  /** What is gone, in a few words. */
  readonly guard: string;
  readonly edits: readonly Edit[];
  readonly hunt: Hunt;
}

/** In a copy of the tree; `find` must occur there exactly once, so that no twin outlives its guard. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** What must notice it. */
export type Hunt =
  /** `npm run sim`: `from` is the first seed, `seeds` how many at most; `transactions`: with jobs of several keys. */
  | {
      readonly by: 'simulation';
      readonly from: number;
      readonly seeds: number;
      readonly transactions?: true;
    }
  /** `npm run explore` with these flags. */
  | { readonly by: 'search'; readonly flags: string }
  /** A test that knows the guard. `why`: why not the simulation. */
  | { readonly by: 'test'; readonly file: string; readonly why: string };

const SEEDS = 20_000;

/** By the simulation, from the first seed on. */
export const SIMULATED = { by: 'simulation', from: 0, seeds: SEEDS } as const satisfies Hunt;
