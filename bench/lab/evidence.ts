/**
 * What happened, written down by the processes in which it happened, one file each. Every line goes
 * to the file at once, so that a process that is killed leaves all of it.
 *
 *   s FROM I TO            computed from the value with hash FROM: update I in it gives hash TO
 *   a I STARTED ARRIVED    update I's first request went out, and had its answer (monotonic ms)
 *   d I AT                 the client believes its update to be done
 */
import { openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Steps, stepsOf } from '../chain-audit.ts';

/** From when to when an update came. */
export interface Arrival {
  readonly startedMs: number;
  readonly arrivedMs: number;
}

export interface Evidence {
  readonly steps: Steps;
  readonly arrivals: ReadonlyMap<number, Arrival>;
  /** When the client was told so, by update. */
  readonly done: ReadonlyMap<number, number>;
}

export class EvidenceFile {
  readonly #file: number;

  /** @param name of the process, not used before */
  constructor(folder: string, name: string) {
    this.#file = openSync(join(folder, `${name}.evidence`), 'ax');
  }

  step(from: number, i: number, to: number): void {
    writeSync(this.#file, `s ${from} ${i} ${to}\n`);
  }

  arrived(i: number, startedMs: number, arrivedMs: number): void {
    writeSync(this.#file, `a ${i} ${startedMs} ${arrivedMs}\n`);
  }

  done(i: number, atMs: number): void {
    writeSync(this.#file, `d ${i} ${atMs}\n`);
  }
}

export function readEvidence(folder: string): Evidence {
  const journal = { from: [] as number[], i: [] as number[], to: [] as number[] };
  const arrivals = new Map<number, Arrival>();
  const done = new Map<number, number>();
  const files = readdirSync(folder).filter((name) => name.endsWith('.evidence'));
  for (const file of files) {
    for (const line of readFileSync(join(folder, file), 'utf8').split('\n')) {
      const [kind, ...words] = line.split(' ');
      const [first = 0, second = 0, third = 0] = words.map(Number);
      if (kind === 's') {
        journal.from.push(first);
        journal.i.push(second);
        journal.to.push(third);
      } else if (kind === 'a') {
        // One that is tried again after a crash came when it came first.
        const before = arrivals.get(first)?.startedMs ?? Number.POSITIVE_INFINITY;
        if (second < before) arrivals.set(first, { startedMs: second, arrivedMs: third });
      } else if (kind === 'd') {
        done.set(first, second);
      }
    }
  }
  return { steps: stepsOf([journal]), arrivals, done };
}
