/** A few months of three accounts. Run by itself, it prints lines for `toril enqueue -`. */
import { printJobs, type TrafficJob } from '../traffic-lines.ts';

const ACCOUNTS = ['ada', 'bob', 'eve'];
const MONTHS = 8;

export function traffic(): TrafficJob[] {
  const jobs: TrafficJob[] = [];
  for (let month = 1; month <= MONTHS; month++) {
    for (const [index, account] of ACCOUNTS.entries()) {
      jobs.push({ name: 'deposit', data: { account, cents: 10_000 * month + 137 * index } });
      // Bob asks for more than he has in the first months; such a job fails, and changes nothing.
      jobs.push({ name: 'withdraw', data: { account, cents: 9_000 + 12_000 * index } });
      jobs.push({ name: 'interest', data: { account, basisPoints: 25 + month } });
      jobs.push({ name: 'deposit', data: { account, cents: 55 } });
    }
  }
  return jobs;
}

printJobs(import.meta.url, traffic);
