/** Fails a test file that leaves a connection, a listening socket or a child process behind. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';

const WATCHED: Readonly<Record<string, string>> = {
  ProcessWrap: 'child process',
  TCPServerWrap: 'listening socket',
  TCPSocketWrap: 'connection',
};
/** Closing takes a turn or two of the event loop, and a killed process some milliseconds. */
const GRACE_MS = 2_000;
const POLL_MS = 20;

const before = count();

// Hooks run in reverse order: this one, registered first, after all of the file's own.
afterAll(async () => {
  const deadline = performance.now() + GRACE_MS;
  while (leaked().length > 0 && performance.now() < deadline) await sleep(POLL_MS);
  const left = leaked();
  if (left.length > 0) throw new Error(`this file left something open: ${left.join(', ')}`);
});

function leaked(): string[] {
  const now = count();
  return Object.entries(WATCHED).flatMap(([type, name]) => {
    const more = (now.get(type) ?? 0) - (before.get(type) ?? 0);
    return more > 0 ? [`${more} x ${name}`] : [];
  });
}

function count(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo()) {
    counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  return counts;
}
