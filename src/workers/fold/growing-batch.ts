/** A batch while it grows: what was decided of each entry so far, and what delivered jobs will be told of it. */
import { NONE_NAMED } from '../../cells/envelope.ts';
import { messageOf } from '../../errors.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import {
  encodeDecision,
  type JobOutcome,
  MOVED,
  PLAIN_APPLIED,
  WITHDRAWN,
} from '../../updates/outcome.ts';
import { codeOf } from '../../updates/calling/thrown.ts';
import type { Settlement } from '../deliveries/arrival.ts';
import type { Batch, Stop } from './batch.ts';

/** Characters of a failure's message that travel with its decision; BullMQ gets the whole. */
const MESSAGE_MAX = 500;
/** Nearly every job ends so. */
const APPLIED: Settlement = { kind: 'decided', outcome: { kind: 'applied', result: '' } };
/** What becomes of an entry: it is decided, or the batch stops before it or behind it. */
export type Verdict = Decided | Stop;

interface Decided {
  readonly kind: 'decided';
}

const DECIDED: Decided = { kind: 'decided' };
const NOBODY: readonly string[] = [];

export class GrowingBatch {
  /** Entries decided so far. */
  decided: number = 0;
  /** Characters of results, and of ids that the commit must name. */
  namesSize: number = 0;
  #watermark: number;
  #applied = 0;
  #expireMs: number | undefined;
  #decisions: Map<string, string> | undefined;
  #unapplied: string[] | undefined;
  readonly #settlements = new Map<string, Settlement>();

  constructor(watermark: number) {
    this.#watermark = watermark;
  }

  applied(entry: LaneEntry, result: string, expireMs: number): Decided {
    this.#applied += 1;
    this.#expireMs = expireMs;
    if (result === '') {
      this.#settlements.set(entry.jobId, APPLIED);
    } else {
      this.namesSize += result.length;
      this.#name(entry, PLAIN_APPLIED + result);
      this.#settlements.set(entry.jobId, { kind: 'decided', outcome: { kind: 'applied', result } });
    }
    return this.#pass(entry);
  }

  failed(entry: LaneEntry, thrown: Error, cascades: boolean): Decided {
    const code = codeOf(thrown);
    const outcome: JobOutcome = { kind: 'failed', code, message: shortened(thrown), cascades };
    this.#name(entry, encodeDecision(outcome));
    this.#settlements.set(entry.jobId, { kind: 'decided', outcome, thrown });
    return this.#pass(entry);
  }

  /** It goes to the lane's end. */
  moved(entry: LaneEntry): Decided {
    this.#name(entry, MOVED);
    return this.#pass(entry);
  }

  /** It leaves the lane without an outcome. */
  withdrawn(entry: LaneEntry): Decided {
    this.#name(entry, WITHDRAWN);
    return this.#pass(entry);
  }

  /** Applied now, it would be in the value after somebody was told that it had completed without being applied. */
  passedOver(entry: LaneEntry): Decided {
    this.#unapplied ??= [];
    this.#unapplied.push(entry.jobId);
    return this.withdrawn(entry);
  }

  /** It stays in the lane. `isReported`: the next holder must not try it again before BullMQ has heard that it failed. */
  held(entry: LaneEntry, thrown: Error, isReported: boolean): Stop {
    this.tell(entry, { kind: 'held', thrown });
    const message = shortened(thrown);
    if (isReported) this.#name(entry, encodeDecision({ kind: 'held', message }));
    return { kind: 'held', jobId: entry.jobId, reason: message };
  }

  /** What a delivered job that stays undecided is told once the batch is over. */
  tell({ jobId }: LaneEntry, settlement: Settlement): void {
    this.#settlements.set(jobId, settlement);
  }

  ended(value: unknown, stop: Stop): Batch {
    return {
      value,
      watermark: this.#watermark,
      decisions: this.#decisions ?? NONE_NAMED,
      unapplied: this.#unapplied ?? NOBODY,
      settlements: this.#settlements,
      decided: this.decided,
      applied: this.#applied,
      expireMs: this.#expireMs,
      stop,
    };
  }

  #pass(entry: LaneEntry): Decided {
    this.#watermark = Math.max(this.#watermark, entry.sequence);
    this.decided += 1;
    if (entry.late === true) this.namesSize += entry.jobId.length;
    return DECIDED;
  }

  #name({ jobId }: LaneEntry, decision: string): void {
    this.#decisions ??= new Map();
    this.#decisions.set(jobId, decision);
  }
}

function shortened(thrown: Error): string {
  return messageOf(thrown).slice(0, MESSAGE_MAX);
}
