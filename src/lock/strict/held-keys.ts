/** What the function gets for one key. */
export interface HeldKey<Value = unknown> {
  readonly key: string;
  /** Grows with every acquisition: other stores can refuse writes with a lower one. */
  readonly token: number;
  /** Aborts with LEASE_LOST: stop, whatever you do will not be written. */
  readonly signal: AbortSignal;
  /** As it was when the lease was acquired; undefined: there is none. */
  readonly value: Value | undefined;
  /**
   * The value as it is now, written when the function has returned. The last call counts.
   * @throws TorilError VALUE_NOT_JSON, LEASE_LOST: that call does not count
   */
  write(value: Value): void;
}

/** What the function gets for several keys. */
export interface HeldKeys<Value = unknown> {
  /** Sorted, each once. */
  readonly keys: readonly string[];
  /** One token for all keys, drawn when all were held. */
  readonly token: number;
  readonly signal: AbortSignal;
  read(key: string): Value | undefined;
  write(key: string, value: Value): void;
}
