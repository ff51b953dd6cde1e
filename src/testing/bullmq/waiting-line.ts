/** BullMQ's `wait` and `prioritized`: which job is delivered next. */
export class WaitingLine {
  /** Pushed to the front: the last one is the next. */
  #front: string[] = [];
  /** Behind them, the first one that is not gone is the next. */
  #back: string[] = [];
  /** How many of #back are gone. */
  #gone = 0;
  /** By priority, then by place, then by id; the first one is the next when nobody waits before it. */
  readonly #prioritized: Prioritized[] = [];
  #places = 0;

  get length(): number {
    return this.#front.length + this.#back.length - this.#gone + this.#prioritized.length;
  }

  pushFront(jobId: string): void {
    this.#front.push(jobId);
  }

  pushBack(jobId: string, priority: number): void {
    if (priority === 0) this.#back.push(jobId);
    else this.#pushPrioritized({ jobId, priority, place: ++this.#places });
  }

  /** Before the others of its priority; without one, before all. */
  pushBackIn(jobId: string, priority: number): void {
    if (priority === 0) this.#front.push(jobId);
    // Two that are pushed so share a place, as in BullMQ, and Redis sorts them by their ids.
    else this.#pushPrioritized({ jobId, priority, place: 0 });
  }

  /** False: it waits elsewhere, or not at all. */
  takePrioritized(jobId: string): boolean {
    const at = this.#prioritized.findIndex((other) => other.jobId === jobId);
    if (at >= 0) this.#prioritized.splice(at, 1);
    return at >= 0;
  }

  /** Takes those without a priority out of it of which `isTaken` says so, which is asked about the next one first. */
  takeIf(isTaken: (jobId: string) => boolean): string[] {
    const all = [...this.#front.toReversed(), ...this.#back.slice(this.#gone)];
    const taken = new Set(all.filter(isTaken));
    if (taken.size === 0) return [];
    const stays = (jobId: string): boolean => !taken.has(jobId);
    this.#front = this.#front.filter(stays);
    this.#back = this.#back.slice(this.#gone).filter(stays);
    this.#gone = 0;
    return [...taken];
  }

  remove(jobId: string): void {
    if (!this.takePrioritized(jobId)) this.takeIf((other) => other === jobId);
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

  #pushPrioritized(added: Prioritized): void {
    const behind = this.#prioritized.findIndex((other) => comesBefore(added, other));
    this.#prioritized.splice(behind < 0 ? this.#prioritized.length : behind, 0, added);
  }
}

interface Prioritized {
  readonly jobId: string;
  readonly priority: number;
  readonly place: number;
}

function comesBefore(one: Prioritized, other: Prioritized): boolean {
  if (one.priority !== other.priority) return one.priority < other.priority;
  if (one.place !== other.place) return one.place < other.place;
  return one.jobId < other.jobId;
}
