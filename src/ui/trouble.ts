/** What is said of an error, and with which status. */
import { TorilError } from '../errors.ts';

export function troubleOf(thrown: unknown): { readonly code: string; readonly message: string } {
  if (thrown instanceof TorilError) return { code: thrown.code, message: thrown.message };
  // What is unexpected may quote anything: the page's operator finds it in its log.
  return { code: 'INTERNAL', message: 'The page failed by a fault of its own.' };
}

export function statusOf(thrown: unknown): number {
  if (!(thrown instanceof TorilError)) return 500;
  const { code } = thrown;
  if (code.startsWith('INVALID_')) return 400;
  if (code === 'LANE_NOT_HELD' || code.startsWith('LEASE_')) return 409;
  return 503; // Redis or memcached
}

/** For live pages, which have no room for more than a line. */
export function troubleLine(thrown: unknown): string {
  const { code } = troubleOf(thrown);
  return `not live: ${code}`;
}
