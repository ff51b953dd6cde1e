import { LANE_FIELD, OUTCOME_FIELD } from '../../redis/scripts/script.ts';

/** What stands in a job's hash beside BullMQ's own; empty: nothing. */
export interface TorilFields {
  /** Left by somebody else's batch. */
  readonly outcome: string;
  /** The key of the lane that it has entered. */
  readonly lane: string;
}

const NONE: TorilFields = { outcome: '', lane: '' };

/** What Toril noted of jobs, as it comes along with their delivery. */
export class DeliveredFields {
  readonly #fields = new Map<string, TorilFields>();

  /** @param delivery what BullMQ's scripts answer: [fields and values of the job, its id, ...] */
  note(delivery: unknown): void {
    if (!Array.isArray(delivery) || !Array.isArray(delivery[0])) return;
    const values = delivery[0] as string[];
    let [outcome, lane] = ['', ''];
    for (let at = values.length - 2; at >= 0; at -= 2) {
      if (values[at] === OUTCOME_FIELD) outcome = values[at + 1] as string;
      else if (values[at] === LANE_FIELD) lane = values[at + 1] as string;
    }
    if (outcome !== '' || lane !== '') this.#fields.set(String(delivery[1]), { outcome, lane });
  }

  /** Once. */
  take(jobId: string): TorilFields {
    const fields = this.#fields.get(jobId);
    if (fields === undefined) return NONE;
    this.#fields.delete(jobId);
    return fields;
  }
}
