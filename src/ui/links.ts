/**
 * Addresses of the page. Queue, key and job stand in the query, never in the path: a key may be `..` or hold any
 * character, and proxies tidy paths up. They also stand in a form's address instead of its fields, where a browser turns
 * line breaks into others.
 */
import type { BoardAction } from './board.ts';

export interface LanesQuery {
  readonly state?: string | undefined;
  readonly order?: string | undefined;
  readonly search?: string | undefined;
  readonly cursor?: string | undefined;
}

type Parameters = Readonly<Record<string, string | undefined>>;

export class Links {
  readonly #base: string;
  readonly #bullBoard: string | ((queue: string, jobId: string) => string) | undefined;

  constructor(
    base: string,
    bullBoard: string | ((queue: string, jobId: string) => string) | undefined,
  ) {
    this.#base = base;
    this.#bullBoard = bullBoard;
  }

  /** @param queue its qualified name, as everywhere here */
  lanes(queue: string, query: LanesQuery = {}): string {
    return this.#to('/', { queue, ...query });
  }

  lane(queue: string, key: string, parameters: Parameters = {}): string {
    return this.#to('/key', { queue, key, ...parameters });
  }

  value(queue: string, key: string): string {
    return this.#to('/value', { queue, key });
  }

  act(queue: string, key: string, action: BoardAction, jobId: string): string {
    return this.#to('/act', { queue, key, action, job: jobId });
  }

  audit(queue: string, parameters: Parameters = {}): string {
    return this.#to('/audit', { queue, ...parameters });
  }

  /** The key's page of a job, for links from elsewhere. */
  job(queue: string, jobId: string): string {
    return this.#to('/job', { queue, job: jobId });
  }

  live(of: 'lanes' | 'lane', parameters: Parameters): string {
    return this.#to('/live', { of, ...parameters });
  }

  signIn(): string {
    return this.#to('/sign-in', {});
  }

  signOut(): string {
    return this.#to('/sign-out', {});
  }

  asset(name: string): string {
    return this.#to(`/assets/${name}`, {});
  }

  /** @param queue BullMQ's plain name. Undefined: bull-board is nowhere. */
  bullBoard(queue: string, jobId: string): string | undefined {
    const at = this.#bullBoard;
    if (at === undefined) return undefined;
    if (typeof at === 'function') return at(queue, jobId);
    return `${at}/queue/${encodeURIComponent(queue)}/${encodeURIComponent(jobId)}`;
  }

  #to(path: string, parameters: Parameters): string {
    const given = Object.entries(parameters).filter(
      (one): one is [string, string] => one[1] !== undefined && one[1] !== '',
    );
    const query = new URLSearchParams(given).toString();
    return `${this.#base}${path}${query === '' ? '' : `?${query}`}`;
  }
}
