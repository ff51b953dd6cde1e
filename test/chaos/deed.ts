/** What a fault comes to: what it is done to, and how. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Deed {
  /** For the history, and so that nothing is done to any of them twice at a time. */
  readonly targets: readonly string[];
  readonly act: () => unknown;
}

export async function during(ms: number, begin: () => unknown, end: () => unknown): Promise<void> {
  await begin();
  await sleep(ms);
  await end();
}

export function pick<T>(choices: readonly T[], fraction: number): T {
  return choices[Math.floor(fraction * choices.length)] as T;
}
