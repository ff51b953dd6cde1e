/** The value that a fold works on, and how to make it again: an update that throws may have changed it half-way. */
import type { AppliedUpdate } from '../../updates/calling/apply.ts';
import type { LaneEntry } from '../../jobs/lane.ts';

/** Applies a job to a value. */
type Apply = (entry: LaneEntry, value: unknown) => AppliedUpdate | Promise<AppliedUpdate>;

/**
 * The value cannot be written as JSON after all, though it could when it was looked at: an update keeps hold of it
 * and has changed it since, or it has getters. Whose fault it is, shows when each value is written at once.
 */
export class UnfaithfulValue extends Error {}

/** @throws UnfaithfulValue */
export function jsonOf(value: unknown): string | undefined {
  try {
    return value === undefined ? undefined : JSON.stringify(value);
  } catch (cause) {
    throw new UnfaithfulValue('a value that was JSON is none any more', { cause });
  }
}

export class ReplayableValue {
  value: unknown;
  #checkpoint: () => unknown;
  #appliedSince: LaneEntry[] = [];
  #isCheckpointDue = false;

  /** @param fresh makes the value that the fold starts from, a new copy each time */
  constructor(fresh: () => unknown) {
    this.#checkpoint = fresh;
    this.value = fresh();
  }

  /** The value for the next update, which may spoil it. */
  handOut(): unknown {
    if (this.#isCheckpointDue) this.#setCheckpoint();
    return this.value;
  }

  /** `isRepeatable`: the job may be applied again only to make a value. Strict ones act on the outside world. */
  become(value: unknown, entry: LaneEntry, isRepeatable: boolean): void {
    this.value = value;
    if (isRepeatable) this.#appliedSince.push(entry);
    else this.#isCheckpointDue = true;
  }

  remake(apply: Apply): void | Promise<void> {
    this.value = this.#checkpoint();
    for (const [index, entry] of this.#appliedSince.entries()) {
      const applied = apply(entry, this.value);
      if (applied instanceof Promise) return this.#remakeFrom(index, applied, apply);
      this.value = applied.value;
    }
  }

  async #remakeFrom(index: number, first: Promise<AppliedUpdate>, apply: Apply): Promise<void> {
    this.value = (await first).value;
    for (const entry of this.#appliedSince.slice(index + 1)) {
      this.value = (await apply(entry, this.value)).value;
    }
  }

  /** From here on the value as it is now can be made again. */
  #setCheckpoint(): void {
    this.#isCheckpointDue = false;
    const json = jsonOf(this.value);
    this.#checkpoint = () => (json === undefined ? undefined : JSON.parse(json));
    this.#appliedSince = [];
  }
}
