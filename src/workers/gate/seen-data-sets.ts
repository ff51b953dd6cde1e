/** The Redis data sets that a process has worked with. More than one: Redis was emptied or replaced under it. */
export class SeenDataSets {
  readonly #ids = new Set<string>();
  #last: string | undefined;

  /** The one before, if this is another one than the last time. */
  note(id: string): string | undefined {
    const before = this.#last;
    if (id === before) return undefined;
    this.#last = id;
    this.#ids.add(id);
    return before;
  }

  readonly has = (id: string): boolean => this.#ids.has(id);
}
