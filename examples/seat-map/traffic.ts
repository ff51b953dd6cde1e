/** An evening's bookings for two shows. Printed, or as a list: see ../traffic-lines.ts. */
import { printJobs, type TrafficJob } from '../traffic-lines.ts';

const SHOWS = ['carmen', 'fidelio'];
const GUESTS = 24;
const ROWS = 'ABCD';
const SEATS_PER_ROW = 6;

/** Guests want what other guests want, too; some give their seats back. */
export function traffic(): TrafficJob[] {
  const jobs: TrafficJob[] = [];
  for (let n = 0; n < GUESTS; n++) {
    for (const [index, show] of SHOWS.entries()) {
      const guest = `guest-${n}`;
      const row = ROWS[(n * 5 + index) % ROWS.length];
      const seat = (n * 7 + index * 3) % SEATS_PER_ROW;
      const seats = [`${row}${seat + 1}`, `${row}${((seat + 1) % SEATS_PER_ROW) + 1}`];
      jobs.push({ name: 'book', data: { show, guest, seats } });
      if (n % 4 === 3) jobs.push({ name: 'wait', data: { show, guest: `late-${n}` } });
      if (n % 6 === 5) jobs.push({ name: 'cancel', data: { show, guest: `guest-${n - 3}` } });
      if (n % 8 === 7) jobs.push({ name: 'draw', data: { show } });
    }
  }
  return jobs;
}

printJobs(import.meta.url, traffic);
