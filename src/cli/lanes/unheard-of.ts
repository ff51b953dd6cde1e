/** A key that nobody has used, which is more often a misspelt one. */
import type { InspectedLane } from '../../workers/inspecting/inspector.ts';
import { note, plain } from '../terminal/terminal.ts';

/** Says so on standard error, if there is no job of the key, no commit, and nothing in memcached. */
export function tellUnheardOf(queue: string, { key, length, token, cell }: InspectedLane): boolean {
  const { standing } = cell;
  if (length > 0 || token > 0 || (standing !== 'fresh' && standing !== 'missing')) return false;
  note(`the queue "${plain(queue)}" has never heard of the key "${plain(key)}"`);
  return true;
}
