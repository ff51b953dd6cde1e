/** What the page and its worker say to each other. */
import type { Setup } from './setup.ts';
import type { Story } from './story.ts';

export interface Request {
  /** `search`: from the setup's seed on, the first run that breaks a promise. */
  readonly kind: 'run' | 'search';
  readonly setup: Setup;
}

export type Answer =
  | { readonly kind: 'story'; readonly story: Story }
  | { readonly kind: 'tried'; readonly seeds: number }
  | { readonly kind: 'none'; readonly seeds: number };

/** Runs that a search looks at: what the tests of the auditor allow each guard that is off. */
export const SEEDS_MAX = 500;
