/**
 * What goes wrong, and when: at the moment at which a given update has been computed and is not yet
 * written. Each strikes once, in whichever process computes that update first.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MemcachedClient } from '../memcached-client.ts';

export const SITUATIONS = ['calm', 'pause', 'crash', 'lock evicted', 'value evicted'] as const;

export type Situation = (typeof SITUATIONS)[number];

export interface FaultPlan {
  readonly situation: Situation;
  /** At which updates, by number. */
  readonly at: readonly number[];
  readonly lockMs: number;
  /** Where the processes leave word that a fault has struck. */
  readonly folder: string;
}

/** Of a run's updates: when each of a situation's faults strikes. */
const MOMENTS: Readonly<Record<Situation, readonly number[]>> = {
  calm: [],
  pause: [0.4],
  crash: [0.2, 0.35, 0.5, 0.65],
  'lock evicted': [0.2, 0.5, 0.8],
  'value evicted': [0.2, 0.3, 0.4, 0.5, 0.6],
};
/** Beyond the lock's life. */
const PAUSE_LONGER_BY_MS = 1_500;
/** The other deaths come as soon as the update is in memcached: before anybody was told, if they can. */
const DEATHS_BEFORE_THE_WRITE = 1;
/** Milliseconds after which a process is killed, whether its write was seen or not. */
const DEATH_AT_THE_LATEST_MS = 20;
/** How long a holder is at work whose lock is evicted meanwhile. */
const AT_WORK_MS = 50;
/** After so many milliseconds at most: in the middle of somebody's update, or between two. */
const VALUE_GOES_WITHIN_MS = 10;

export function momentsOf(situation: Situation, updates: number): number[] {
  return MOMENTS[situation].map((share) => Math.floor(share * updates));
}

/** The items that memcached may evict, and connections to where they are. The value's is looked at, too. */
export interface Evictable {
  readonly value: readonly [client: MemcachedClient, item: string];
  readonly lock: readonly [client: MemcachedClient, item: string] | undefined;
}

export class Faults {
  readonly #plan: FaultPlan;
  readonly #evictable: Evictable;

  constructor(plan: FaultPlan, evictable: Evictable) {
    this.#plan = plan;
    this.#evictable = evictable;
  }

  /** @returns a promise if the update now takes its time; its holder must wait for it */
  strike(i: number): Promise<void> | undefined {
    const { at, situation } = this.#plan;
    const number = at.indexOf(i);
    if (number === -1 || !this.#isFirst(i)) return undefined;
    switch (situation) {
      case 'calm':
        return undefined;
      case 'pause':
        return this.#pause();
      case 'crash':
        if (number < DEATHS_BEFORE_THE_WRITE) die();
        return this.#dieWhenWritten(i);
      case 'lock evicted':
        return this.#evictLock();
      case 'value evicted':
        return this.#evictValue();
    }
  }

  /** As a stopped machine or a very long garbage collection: no timer and no socket of it runs. */
  #pause(): undefined {
    const nobodyWakesIt = new Int32Array(new SharedArrayBuffer(4));
    Atomics.wait(nobodyWakesIt, 0, 0, this.#plan.lockMs + PAUSE_LONGER_BY_MS);
  }

  async #evictLock(): Promise<void> {
    if (this.#evictable.lock === undefined) return;
    const [client, item] = this.#evictable.lock;
    await client.delete(item);
    await sleep(AT_WORK_MS);
  }

  #evictValue(): undefined {
    const [client, item] = this.#evictable.value;
    setTimeout(() => void client.delete(item), Math.random() * VALUE_GOES_WITHIN_MS);
  }

  #dieWhenWritten(i: number): undefined {
    setTimeout(die, DEATH_AT_THE_LATEST_MS);
    const [client, item] = this.#evictable.value;
    const look = async (): Promise<void> => {
      while (!showsUpdate((await client.get(item))?.value, i));
      die();
    };
    look().catch(die);
  }

  #isFirst(i: number): boolean {
    try {
      closeSync(openSync(join(this.#plan.folder, `struck-${i}`), 'wx'));
      return true;
    } catch {
      return false;
    }
  }
}

/** @param text of a value, or of an envelope with a value in it */
export function showsUpdate(text: string | undefined, i: number): boolean {
  const recent = /"recent":\[([\d,]*)\]/.exec(text ?? '')?.[1] ?? '';
  return recent.split(',').includes(String(i));
}

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}
