/** Two people write a few lines, with slips of the hand. Printed, or as a list: see ../traffic-lines.ts. */
import { printJobs, type TrafficJob } from '../traffic-lines.ts';
import type { Edit, Patch } from './updates.ts';

export const LINES = [
  ['ada', 'A value that many change at once'],
  ['bob', 'must see each change exactly once,'],
  ['ada', 'in the order in which they came. 🐂'],
] as const;
/** Characters per edit. */
const KEYSTROKES = 3;

/** What the document must hold in the end. */
export const TEXT: string = LINES.map(([, line]) => `${line}\n`).join('');

function editing(document: string, author: string, ...patches: Patch[]): TrafficJob {
  return { name: 'edit', data: { document, author, patches } satisfies Edit };
}

export function traffic(): TrafficJob[] {
  const jobs = [
    editing('draft', 'eve', [0, 0, 'nothing of this stays']),
    { name: 'discard', data: { document: 'draft' } },
    editing('draft', 'bob', [0, 0, 'a new beginning']),
  ];
  let length = 0;
  for (const [author, line] of LINES) {
    const text = `${line}\n`;
    for (let at = 0; at < text.length; at += KEYSTROKES) {
      const typed = text.slice(at, at + KEYSTROKES);
      jobs.push(editing('poem', author, [length, 0, `${typed}#`])); // a slip,
      jobs.push(editing('poem', author, [length + typed.length, 1, ''])); // and away with it
      length += typed.length;
    }
  }
  return jobs;
}

printJobs(import.meta.url, traffic);
