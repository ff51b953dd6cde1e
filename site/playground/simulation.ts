/** The worker: runs simulations, so that the page never waits for one. */
import './stand-ins/buffer.ts';
import { inTurns } from './in-turns.ts';
import { type Answer, type Request, SEEDS_MAX } from './messages.ts';
import { brokenSeed, storyOf, type Taking } from './story.ts';

/** Between two messages about a search. */
const TOLD_EVERY = 10;

// Stacks cost as much as an update, and nobody sees them here.
Error.stackTraceLimit = 0;

globalThis.addEventListener('message', ({ data }: MessageEvent<Request>) => void answer(data));

async function answer({ kind, setup }: Request): Promise<void> {
  if (kind === 'run') return say({ kind: 'story', story: await storyOf(setup, take) });
  const seed = await brokenSeed(setup, SEEDS_MAX, take, (seeds) => {
    if (seeds % TOLD_EVERY === 0) say({ kind: 'tried', seeds });
  });
  if (seed === undefined) return say({ kind: 'none', seeds: SEEDS_MAX });
  say({ kind: 'story', story: await storyOf({ ...setup, seed }, take) });
}

function say(what: Answer): void {
  globalThis.postMessage(what);
}

const take: Taking = async (steps) => {
  const unhandled = new Map<Promise<unknown>, unknown>();
  const onUnhandled = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    unhandled.set(event.promise, event.reason);
  };
  // Of a promise that is handled a few steps later, as the simulated network does it.
  const onHandled = ({ promise }: PromiseRejectionEvent): void => void unhandled.delete(promise);
  globalThis.addEventListener('unhandledrejection', onUnhandled);
  globalThis.addEventListener('rejectionhandled', onHandled);
  try {
    await inTurns(steps);
    await new Promise((resolve) => void setTimeout(resolve)); // both are told in tasks of their own
  } finally {
    globalThis.removeEventListener('unhandledrejection', onUnhandled);
    globalThis.removeEventListener('rejectionhandled', onHandled);
  }
  return [...unhandled.values()];
};
