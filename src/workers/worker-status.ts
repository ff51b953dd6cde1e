import { TorilError } from '../errors.ts';
import type { ServerStatus } from './starting/server-state.ts';
import type { Start } from './starting/start.ts';

export interface WorkerStatus {
  /**
   * - `starting`: it waits for servers, and works on nothing yet
   * - `ready`: it can work, and is not told to (`autorun: false`)
   * - `stopped`: it gave up (`cause`); `run()` tries again
   */
  readonly state: 'starting' | 'ready' | 'running' | 'paused' | 'stopped' | 'closing' | 'closed';
  readonly cause: TorilError | undefined;
  /** Redis first, then the memcached servers in their order. */
  readonly servers: readonly ServerStatus[];
}

/** As BullMQ sees it. */
export interface WorkerFlags {
  readonly isClosing: boolean;
  readonly isClosed: boolean;
  readonly isPaused: boolean;
  readonly isRunning: boolean;
}

export function statusOf({ outcome, servers }: Start, flags: WorkerFlags): WorkerStatus {
  const cause = outcome instanceof TorilError ? outcome : undefined;
  return { state: stateOf(outcome, flags), cause, servers };
}

function stateOf(outcome: Start['outcome'], flags: WorkerFlags): WorkerStatus['state'] {
  if (flags.isClosing) return flags.isClosed ? 'closed' : 'closing';
  if (outcome instanceof TorilError) return 'stopped';
  if (outcome === 'none yet') return 'starting';
  if (flags.isPaused) return 'paused';
  return flags.isRunning ? 'running' : 'ready';
}
