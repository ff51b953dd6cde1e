/**
 * The clock of one simulated process, and the only way in which anything reaches it: timers,
 * moments (`soon`) and what arrives from the network all pass through `run`. So a process can be
 * paused as by SIGSTOP (everything waits, while its monotonic clock runs on) and killed.
 */
import type { Clock, Timer } from '../../src/base/clock.ts';
import type { Dice } from './dice.ts';
import type { Event, Scheduler, Steps } from './scheduler.ts';

/** 2024-01-01, on a whole second. */
const WALL_START_MS = 1_704_067_200_000;
/** A turn of the event loop. */
const MOMENT_MS = 0.01;

type Way = 'timer' | 'arrival' | 'moment';

interface Held {
  readonly way: Way;
  readonly event: Event;
}

export interface ClockOptions {
  /** How many of its milliseconds pass per millisecond of virtual time. */
  readonly rate: number;
  /** Milliseconds at most by which its timers fire late. */
  readonly latenessMs: number;
}

export class ProcessClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #options: ClockOptions;
  #wallOffsetMs = 0;
  #state: 'running' | 'paused' | 'dead' = 'running';
  #moments: (() => void)[] = [];
  #held: Held[] = [];

  constructor(scheduler: Scheduler, dice: Dice, options: ClockOptions) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#options = options;
  }

  get alive(): boolean {
    return this.#state !== 'dead';
  }

  /** Neither dead nor paused, nor behind with what came meanwhile. */
  get runs(): boolean {
    return this.#state === 'running' && this.#held.length === 0;
  }

  monotonicMs(): number {
    return this.#scheduler.nowMs * this.#options.rate;
  }

  /** Whole milliseconds, as Date.now. */
  wallMs(): number {
    return Math.floor(WALL_START_MS + this.#wallOffsetMs + this.#scheduler.nowMs);
  }

  /** As Node: whole milliseconds, one at least, and a little late. */
  after(delayMs: number, callback: () => void): Timer {
    if (this.#state === 'dead') return { cancel() {} };
    const wholeMs = Math.max(1, Math.trunc(delayMs));
    const lateMs = this.#dice.fraction() * this.#options.latenessMs;
    let cancelled = false;
    const event = this.#scheduler.at(wholeMs / this.#options.rate + lateMs, () =>
      this.run('timer', () => {
        if (!cancelled) callback();
      }),
    );
    return {
      cancel() {
        cancelled = true;
        event.over = true;
      },
    };
  }

  soon(callback: () => void): void {
    if (this.#state === 'dead') return;
    this.#moments.push(callback);
    if (this.#moments.length === 1) {
      this.#scheduler.at(MOMENT_MS, () => this.run('moment', () => this.#runMoments()));
    }
  }

  /** Something reaches the process: now, when it is resumed, or never. */
  run(way: Way, event: Event): ReturnType<Event> {
    if (this.#state === 'dead') return undefined;
    if (this.#state === 'running' && this.#held.length === 0) return event();
    this.#held.push({ way, event });
    return undefined;
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  /** What has waited runs one by one; Node promises no order between timers and sockets. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    const first = this.#dice.pick(['timer', 'arrival', undefined]);
    this.#held.sort((a, b) => Number(b.way === first) - Number(a.way === first)); // stable
    this.#catchUp();
  }

  /** While there is something left, what comes goes behind it. */
  #catchUp(): void {
    this.#scheduler.at(MOMENT_MS, () => this.#runHeld());
  }

  *#runHeld(): Steps {
    if (this.#state !== 'running') return;
    const next = this.#held[0];
    if (next === undefined) return;
    const more = next.event();
    if (more !== undefined) yield* more;
    this.#held.shift();
    this.#catchUp();
  }

  kill(): void {
    this.#state = 'dead';
    this.#held = [];
    this.#moments = [];
  }

  /** As an operator or a time server sets it. */
  moveWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** As Node's check phase: those that are there now, with all promises in between. */
  *#runMoments(): Steps {
    const moments = this.#moments;
    this.#moments = [];
    for (const moment of moments) {
      if (this.#state === 'dead') return;
      moment();
      yield;
    }
  }
}
