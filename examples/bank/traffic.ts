/** What three customers and a shop do. Run by itself, it prints lines for `toril enqueue -`. */
import { printJobs, type TrafficJob } from '../traffic-lines.ts';

export const ACCOUNTS = ['ada', 'bob', 'eve', 'shop'] as const;
const ROUNDS = 12;

/** What is paid in, before anything else. */
export function deposits(): TrafficJob[] {
  return ACCOUNTS.map((to, at) => ({ name: 'deposit', data: { to, cents: 1_000 * at } }));
}

export function transfers(): TrafficJob[] {
  const jobs: TrafficJob[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [at, from] of ACCOUNTS.entries()) {
      const to = ACCOUNTS[(at + round) % ACCOUNTS.length] as string;
      if (from === to) continue;
      // Ada has nothing in the beginning: her first transfers fail, and change nothing.
      jobs.push({ name: 'transfer', data: { from, to, cents: 70 * round + 13 * at } });
    }
  }
  return jobs;
}

printJobs(import.meta.url, () => [...deposits(), ...transfers()]);
