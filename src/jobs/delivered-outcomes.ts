import { OUTCOME_FIELD } from './scripts/script.ts';

/** Outcomes that somebody else's batch left in the hashes of jobs, as they come with the jobs' delivery. */
export class DeliveredOutcomes {
  readonly #outcomes = new Map<string, string>();

  /** @param delivery what BullMQ's scripts answer: [fields and values of the job, its id, ...] */
  note(delivery: unknown): void {
    if (!Array.isArray(delivery) || !Array.isArray(delivery[0])) return;
    const fields = delivery[0] as string[];
    for (let at = fields.length - 2; at >= 0; at -= 2) {
      if (fields[at] !== OUTCOME_FIELD) continue;
      const outcome = fields[at + 1];
      if (outcome !== undefined && outcome !== '') this.#outcomes.set(String(delivery[1]), outcome);
      return;
    }
  }

  /** Once. */
  take(jobId: string): string | undefined {
    const outcome = this.#outcomes.get(jobId);
    if (outcome !== undefined) this.#outcomes.delete(jobId);
    return outcome;
  }
}
