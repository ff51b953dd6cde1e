/**
 * Takes the steps of a simulation in Node, one right after the other. V8 itself drains the promises in between
 * (0.1 µs per event; a turn of Node's event loop takes 1.1 µs), which needs a flag that test runs may set.
 */
import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import type { Steps } from './scheduler.ts';

setFlagsFromString('--allow-natives-syntax');
/** Runs all promise reactions that are due. */
export const drain = runInThisContext('() => %PerformMicrotaskCheckpoint()') as () => void;

/** Must be called from a macrotask: from within a promise, no other one can be drained. */
export function runDraining<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    drain();
  }
}
