/** The copies in memory: what Redis last acknowledged for each key, and until when it knows of it. */
import type { Clock } from '../../base/clock.ts';
import {
  type Acknowledgement,
  COPY_GRACE_MS,
  COPY_IN_USE_MS,
  type TakeRequest,
  TOMBSTONE_MS,
} from '../lanes.ts';
import type { Copy } from '../lane.ts';

const NO_COPY: Copy = { token: 0, watermark: 0, value: 'deleted', cascadeTo: 0 };

interface StoredCopy {
  token: number;
  watermark: number;
  value: Acknowledgement['value'];
  cascadeTo: number;
  paceMs: number;
  /** Milliseconds since 1970 from which on the value is gone, and the copy itself. */
  valueGoneMs: number;
  goneMs: number;
}

export type WrittenCopy = Pick<
  Acknowledgement,
  'key' | 'token' | 'watermark' | 'value' | 'expireMs' | 'paceMs'
>;

export class MemoryCopies {
  readonly #clock: Clock;
  readonly #copies = new Map<string, StoredCopy>();
  /** What a key's token was when a job was last dropped from its lane. */
  readonly #lost = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(key: string): StoredCopy | undefined {
    const copy = this.#copies.get(key);
    if (copy === undefined || this.#clock.wallMs() < copy.goneMs) return copy;
    this.#copies.delete(key);
    return undefined;
  }

  /** A job is dropped from the key's lane: LOST_LUA. */
  noteLost(key: string): void {
    this.#lost.set(key, this.of(key)?.token ?? 0);
  }

  hasLost(key: string): boolean {
    return this.#lost.get(key) === (this.of(key)?.token ?? 0);
  }

  /** The cells of a joint commit are written: its copies go when their values have gone. */
  letGo(key: string, token: number): void {
    const copy = this.of(key);
    if (copy?.token !== token || copy.goneMs === Number.POSITIVE_INFINITY) return;
    copy.goneMs = Math.max(copy.valueGoneMs, Math.floor(this.#clock.wallMs())) + COPY_GRACE_MS;
  }

  /** A commit may follow, and must find the copy that it is built on. */
  keep(key: string): void {
    const copy = this.of(key);
    if (copy === undefined || copy.goneMs === Number.POSITIVE_INFINITY) return;
    copy.goneMs = this.#clock.wallMs() + COPY_IN_USE_MS;
  }

  expiresInMs(key: string): number {
    const goneMs = this.of(key)?.valueGoneMs ?? Number.POSITIVE_INFINITY;
    return Number.isFinite(goneMs) ? Math.max(0, goneMs - Math.floor(this.#clock.wallMs())) : 0;
  }

  /** As a holder of this cell needs to see it: the value is left out if the cell can be believed. */
  seenWith(key: string, cell?: TakeRequest['cell']): Copy {
    const stored = this.of(key);
    if (stored === undefined) return NO_COPY;
    const { token, watermark, cascadeTo } = stored;
    const isBelieved = cell !== undefined && (cell.token === token || cell.base === token);
    const value = isBelieved ? 'not-sent' : stored.value;
    const isGone = stored.valueGoneMs <= this.#clock.wallMs();
    return { token, watermark, cascadeTo, value: isGone ? 'deleted' : value };
  }

  write({ key, token, watermark, value, expireMs, paceMs }: WrittenCopy): void {
    const nowMs = Math.floor(this.#clock.wallMs());
    const isDeleted = value === 'deleted';
    const lastsMs = isDeleted ? TOMBSTONE_MS : expireMs;
    this.#copies.set(key, {
      token,
      watermark,
      value,
      cascadeTo: this.of(key)?.cascadeTo ?? 0,
      paceMs: Math.round(paceMs * 1000) / 1000,
      valueGoneMs: lastsMs > 0 ? nowMs + expireMs : Number.POSITIVE_INFINITY,
      goneMs: lastsMs > 0 ? nowMs + lastsMs + COPY_GRACE_MS : Number.POSITIVE_INFINITY,
    });
  }
}
