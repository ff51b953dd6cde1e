/** What a child process is told when it starts, and afterwards. */
import { Recorder } from '../history.ts';
import type { MemcachedSettings } from '../../../src/memcached/options.ts';
import type { TwinName } from '../twins.ts';
import { setClockAhead } from './wrong-clock.ts';

export interface Orders {
  readonly name: string;
  /** Of its history file. */
  readonly folder: string;
  readonly seed: number;
  readonly queue: string;
  readonly keys: readonly string[];
  readonly redis: { readonly host: string; readonly port: number };
  /** As its role reaches them: through the proxies, or not. */
  readonly memcached: readonly string[];
  readonly protocol: MemcachedSettings['protocol'];
  readonly locks: MemcachedSettings['locks'];
  readonly twin?: TwinName | undefined;
}

/**
 * Producers: stop asking; ask once for each key; go on. The reader, for `rest`: look once more. All: have a clock
 * that is so many milliseconds ahead; end in good order.
 */
export type Order = 'rest' | 'touch' | 'go' | 'close' | `clock ${number}`;

export const orders = JSON.parse(process.argv[2] as string) as Orders;
export const recorder: Recorder = new Recorder(orders.folder, orders.name);

export const memcached: MemcachedSettings = {
  servers: orders.memcached,
  protocol: orders.protocol,
  locks: orders.locks,
  requestDeadlineMs: 400,
  connectDeadlineMs: 400,
};

/** Serves orders, one after the other; answers each with its own name when it is carried out. */
export function serve(carryOut: (order: Order) => Promise<void>): void {
  let last = Promise.resolve();
  process.on('message', (order: Order) => {
    last = last.then(async () => {
      if (order.startsWith('clock ')) setClockAhead(Number(order.slice('clock '.length)));
      else await carryOut(order);
      process.send?.(order);
      if (order === 'close') process.disconnect();
    });
  });
  // Whoever started us is gone: so must we be.
  process.on('disconnect', () => process.exit());
}

export function ready(): void {
  process.send?.('ready');
}

/** Connections come back at once: BullMQ's own delay of a second would make each fault a long one. */
export const redisConnection = {
  ...orders.redis,
  maxRetriesPerRequest: null,
  retryStrategy: (): number => 100,
};
