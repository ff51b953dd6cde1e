/** BullMQ's workers take a processor, and frameworks pass one. Toril's apply updates, and never call it. */
import { TorilError } from '../errors.ts';
import type { WorkerOptions } from './worker-options.ts';

/** Nothing, `noProcessor`, or a function with an empty body. */
export type UncalledProcessor = ((...args: never[]) => unknown) | null | undefined;

export type WorkerArguments =
  | [options: WorkerOptions]
  | [processor: UncalledProcessor, options: WorkerOptions];

/**
 * For frameworks that insist on a processor and bind it, which hides what it does:
 * `class Bank extends WorkerHost { process = noProcessor }` with @nestjs/bullmq.
 */
export const noProcessor: () => Promise<void> = Object.assign(() => Promise.resolve(), {
  bind: () => noProcessor,
});

/** `async process() {}`, `() => {}`, `function (job) { // nothing }` and the like, also where a compiler wrote them. */
const EMPTY = /^(?:async\s*)?(?:function\s*)?[\w$]*\s*(?:\([^()]*\)|[\w$]+)\s*(?:=>\s*)?\{\s*\}$/;

/** @throws TorilError INVALID_OPTIONS */
export function optionsAmong(given: WorkerArguments): WorkerOptions {
  if (given.length === 1) {
    const [only] = given;
    if (typeof only === 'function') throw refused(only);
    return only;
  }
  const [processor, options] = given;
  if (processor === undefined || processor === null || isEmpty(processor)) return options;
  throw refused(processor);
}

function isEmpty(processor: unknown): boolean {
  if (processor === noProcessor) return true;
  if (typeof processor !== 'function') return false;
  const text = Function.prototype.toString.call(processor);
  return EMPTY.test(text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '').trim());
}

/** Completing a job without having done what its processor does would lose that. */
function refused(processor: unknown): TorilError {
  const what =
    typeof processor === 'function'
      ? `a processor${processor.name === '' ? '' : ` ("${processor.name}")`}`
      : `a processor (${typeof processor})`;
  return new TorilError(
    'INVALID_OPTIONS',
    `a worker of Toril applies the updates in its options and never calls ${what}. Put what it does into defineUpdate(), and pass new Worker(name, options). Where a framework insists on a processor, give it noProcessor from "toril"; for Nest there is toril/nestjs.`,
  );
}
