/** Commits that were refused, by key: as Redis counts them for a real queue. */
import { NONE_REFUSED, REFUSED_BY } from '../jobs/reports/lane-past.ts';
import type { RefusedCommits } from '../jobs/reports/lane-report.ts';
import type { WorkerEventName } from '../workers/worker-events.ts';

export class Refusals {
  readonly #of = new Map<string, RefusedCommits>();

  note(type: WorkerEventName, facts: object, atMs: number): void {
    const by = REFUSED_BY[type];
    if (by === undefined) return;
    const { key, token } = facts as { readonly key: string; readonly token: number };
    this.#of.set(key, { count: this.of(key).count + 1, last: { token, atMs, by } });
  }

  of(key: string): RefusedCommits {
    return this.#of.get(key) ?? NONE_REFUSED;
  }
}
