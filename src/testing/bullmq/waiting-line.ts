/** BullMQ's `wait` and `prioritized`: who is delivered next. */
export class WaitingLine {
  /** Given back or stalled: the last one is the next. */
  readonly #front: string[] = [];
  #back: string[] = [];
  /** How many of #back are gone. */
  #gone = 0;
  /** By priority, then by order of arrival; the first one is the next when nobody else waits. */
  readonly #prioritized: { readonly jobId: string; readonly priority: number }[] = [];

  get length(): number {
    return this.#front.length + this.#back.length - this.#gone + this.#prioritized.length;
  }

  pushFront(jobId: string): void {
    this.#front.push(jobId);
  }

  pushBack(jobId: string, priority: number): void {
    if (priority === 0) {
      this.#back.push(jobId);
      return;
    }
    const behind = this.#prioritized.findIndex((other) => other.priority > priority);
    this.#prioritized.splice(behind < 0 ? this.#prioritized.length : behind, 0, {
      jobId,
      priority,
    });
  }

  /** False: it waits elsewhere, or not at all. */
  takePrioritized(jobId: string): boolean {
    const at = this.#prioritized.findIndex((other) => other.jobId === jobId);
    if (at >= 0) this.#prioritized.splice(at, 1);
    return at >= 0;
  }

  shift(): string | undefined {
    const first = this.#front.pop();
    if (first !== undefined) return first;
    const next = this.#back[this.#gone];
    if (next === undefined) return this.#prioritized.shift()?.jobId;
    this.#gone++;
    if (this.#gone === this.#back.length) {
      this.#back = [];
      this.#gone = 0;
    }
    return next;
  }
}
