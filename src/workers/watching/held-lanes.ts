/**
 * Which lanes this worker has said are held. A lane stands until somebody acts, and each turn meets it again,
 * every second or so: said each time, one held lane counted as hundreds.
 */
import type { Clock } from '../../base/clock.ts';
import { ForgetfulMap } from '../../base/forgetful-map.ts';
import type { WorkerEventName, WorkerEvents } from '../worker-events.ts';

/** Lanes remembered; beyond that, some are told once more. */
const LANES_MAX = 10_000;
/** A lane that nobody has met for so many times as long as its jobs are snoozed at most was not held any more. */
const LAPSES_AFTER = 2;

interface Held {
  readonly what: string;
  readonly code: string;
  metMs: number;
}

export class HeldLanes {
  readonly #clock: Clock;
  readonly #lapsesMs: number;
  readonly #held = new ForgetfulMap<string, Held>(LANES_MAX);

  constructor(clock: Clock, { snoozeMsMax }: { readonly snoozeMsMax: number }) {
    this.#clock = clock;
    this.#lapsesMs = LAPSES_AFTER * snoozeMsMax;
  }

  /** False: it says what was said already. A key's commit ends it: what holds the lane behind it is something new. */
  isNews<Name extends WorkerEventName>(name: Name, event: WorkerEvents[Name]): boolean {
    if (name === 'laneHeld') return this.#isNew(event as WorkerEvents['laneHeld']);
    if (this.#held.size === 0) return true; // nearly always
    if (name === 'committed' || name === 'commitRecovered')
      this.#held.delete((event as WorkerEvents['committed' | 'commitRecovered']).key);
    return true;
  }

  /** How many lanes stand, by the code of why. */
  get standing(): Map<string, number> {
    const nowMs = this.#clock.monotonicMs();
    const standing = new Map<string, number>();
    for (const held of this.#held.values()) {
      if (this.#hasLapsed(held, nowMs)) continue;
      standing.set(held.code, (standing.get(held.code) ?? 0) + 1);
    }
    return standing;
  }

  #hasLapsed({ metMs }: Held, nowMs: number): boolean {
    return nowMs - metMs > this.#lapsesMs;
  }

  #isNew({ key, jobId, code }: WorkerEvents['laneHeld']): boolean {
    const what = JSON.stringify([jobId, code]);
    const nowMs = this.#clock.monotonicMs();
    const known = this.#held.get(key);
    const isKnown = known?.what === what && !this.#hasLapsed(known, nowMs);
    if (isKnown) known.metMs = nowMs;
    else this.#held.set(key, { what, code, metMs: nowMs });
    return !isKnown;
  }
}
