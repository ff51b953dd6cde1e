/**
 * A worker in a process of its own; processes.ts starts it. Faults come from here: what it calls
 * is wrapped so that it kills or freezes itself at a certain step of a job's way.
 */
import { type AnyUpdate, Worker, type WorkerOptions } from '../../src/index.ts';
import { TorilBackend } from '../../src/jobs/bullmq/bull-backend.ts';
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import type { Connection } from '../../src/memcached/server.ts';
import { SocketConnection } from '../../src/memcached/socket/socket-connection.ts';
import { allUpdates, move } from './updates.ts';

/** A gap between two steps of a job's way (DESIGN.md, section 3). */
export type Step =
  /** The lease is held, nothing was taken. */
  | 'acquired'
  | 'taken'
  /** Folded; the commit is about to be sent. */
  | 'folded'
  | 'committed'
  | 'acknowledged'
  /** Every job knows its outcome; BullMQ does not. */
  | 'completing'
  /** The same for a job that has failed for good. */
  | 'failing'
  /** BullMQ has completed the batch, or what one call completes of it. */
  | 'completed';

export interface ProcessOrders {
  readonly queue: string;
  readonly options: Omit<WorkerOptions, 'updates'>;
  /** Only these updates are known. */
  readonly updates?: readonly string[];
  readonly fault?: { readonly at: Step; readonly nth: number; readonly signal: NodeJS.Signals };
  /** The evil twin: commits are stored whatever the cell's CAS is by then. */
  readonly withoutCas?: boolean;
}

export type ProcessReport =
  | { readonly event: 'ready' }
  | { readonly event: 'closed' }
  /** Said right before it happens. */
  | { readonly event: 'fault' }
  | { readonly event: 'gate'; readonly name: string; readonly content: unknown };

type AnyMethod = (this: unknown, ...args: never[]) => Promise<unknown>;

const say = (report: ProcessReport): void => void process.send?.(report);
const orders = JSON.parse(process.argv[2] as string) as ProcessOrders;
let counted = 0;

function reach(step: Step): void {
  const { fault } = orders;
  if (fault?.at !== step || ++counted !== fault.nth) return;
  say({ event: 'fault' });
  process.kill(process.pid, fault.signal);
}

function wrap(owner: object, name: string, around: (method: AnyMethod) => AnyMethod): void {
  const methods = owner as Record<string, AnyMethod>;
  methods[name] = around(methods[name] as AnyMethod);
}

function after(step: Step, owner: object, name: string, when: (reply: never) => boolean): void {
  wrap(
    owner,
    name,
    (method) =>
      async function (this: unknown, ...args) {
        const reply = await method.apply(this, args);
        if (when(reply as never)) reach(step);
        return reply;
      },
  );
}

after(
  'acquired',
  MemcachedLeaseLocks.prototype,
  'attempt',
  ({ kind }: { kind: string }) => kind === 'held',
);
after(
  'taken',
  RedisLanes.prototype,
  'take',
  ({ entries }: { entries: unknown[] }) => entries.length > 0,
);
after('acknowledged', RedisLanes.prototype, 'acknowledge', () => true);
after('completed', TorilBackend.prototype, 'moveToCompleted', () => true);
for (const [step, method] of [
  ['completing', 'moveToCompleted'],
  ['failing', 'moveToFailed'],
] as const) {
  wrap(
    TorilBackend.prototype,
    method,
    (move) =>
      function (this: unknown, ...args) {
        reach(step);
        return move.apply(this, args);
      },
  );
}

async function useCurrentCas(connection: Connection, args: unknown[]): Promise<void> {
  const now = await connection.get(args[0] as string);
  if (now.kind === 'done') args[2] = now.value.cas;
}

for (const write of ['add', 'replace']) {
  wrap(
    SocketConnection.prototype,
    write,
    (method) =>
      async function (this: unknown, ...args) {
        const [name] = args as unknown as [string];
        if (name.startsWith('toril:lock:')) return method.apply(this, args);
        reach('folded');
        if (orders.withoutCas === true) await useCurrentCas(this as Connection, args);
        const outcome = (await method.apply(this, args)) as { kind: string };
        if (outcome.kind === 'done') reach('committed');
        return outcome;
      },
  );
}

const named = [...allUpdates, move].filter(({ name }: AnyUpdate) => orders.updates?.includes(name));
const known = orders.updates === undefined ? allUpdates : named;
const worker = new Worker(orders.queue, { ...orders.options, updates: known });
worker.on('error', () => undefined);

for (const name of ['leaseTakenOver', 'commitRefused', 'acknowledgementRefused'] as const) {
  worker.on(name, (content: unknown) => say({ event: 'gate', name, content }));
}
process.on('message', (message) => {
  if (message !== 'close') return;
  void worker.close().then(() => {
    say({ event: 'closed' });
    process.disconnect();
  });
});
process.on('disconnect', () => {
  // The test is gone: so must we be.
  if (worker.closing === undefined) process.exit();
});
await worker.waitUntilReady();
say({ event: 'ready' });
