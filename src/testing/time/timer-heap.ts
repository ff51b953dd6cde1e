/** Timers by due time, those due at one moment in the order in which they were set. A binary heap. */
export interface HeapTimer<Callback = () => void> {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: Callback;
  /** Fired or cancelled. */
  over: boolean;
}

export class TimerHeap<Callback = () => void> {
  readonly #heap: HeapTimer<Callback>[] = [];
  #order = 0;

  add(dueMs: number, callback: Callback): HeapTimer<Callback> {
    const timer: HeapTimer<Callback> = { dueMs, order: this.#order++, callback, over: false };
    this.#push(timer);
    return timer;
  }

  /** The next one to fire, or undefined. Cancelled ones are forgotten on the way. */
  get first(): HeapTimer<Callback> | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || !first.over) return first;
      this.#pop();
    }
  }

  /** How many would still fire. */
  get pending(): number {
    return this.#heap.filter(({ over }) => !over).length;
  }

  /** When the first one fires that is due later than that; undefined: none is. */
  firstAfter(dueMs: number): number | undefined {
    let first: number | undefined;
    for (const timer of this.#heap) {
      if (timer.over || timer.dueMs <= dueMs) continue;
      if (first === undefined || timer.dueMs < first) first = timer.dueMs;
    }
    return first;
  }

  /** Takes `first` out. */
  shift(): HeapTimer<Callback> | undefined {
    const { first } = this;
    if (first !== undefined) this.#pop();
    return first;
  }

  #push(timer: HeapTimer<Callback>): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(timer, heap[parent])) break;
      heap[at] = heap[parent] as HeapTimer<Callback>;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child] as HeapTimer<Callback>;
      at = child;
    }
    heap[at] = last;
  }
}

type Place = Pick<HeapTimer, 'dueMs' | 'order'>;

function isBefore(a: Place | undefined, b: Place | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
