/** What the methods of the module take. */
import type { DynamicModule, FactoryProvider } from '@nestjs/common';
import { TorilError } from '../errors.ts';
import type { QueueOptions } from '../jobs/queue-options.ts';
import type { WorkerOptions } from '../workers/worker-options.ts';

/** For all queues, workers and readers of the application; what they say themselves wins. */
export type TorilModuleOptions = Pick<WorkerOptions, 'connection' | 'memcached'> &
  Partial<Pick<WorkerOptions, 'prefix' | 'telemetry'>>;

/** Options that are known only at run time: from a ConfigService, say. */
export interface TorilAsyncOptions<Options> {
  readonly imports?: DynamicModule['imports'];
  readonly inject?: FactoryProvider['inject'];
  // oxlint-disable-next-line typescript/no-explicit-any -- what is injected has the types that its tokens stand for
  useFactory(...injected: any[]): Options | Promise<Options>;
}

/** Those of a `Queue`; `connection` is that of `forRoot` unless it is given. */
export interface QueueRegistration extends Partial<QueueOptions> {
  /** The queue's name. */
  readonly name: string;
}

/** Those of a `Worker`; `connection` and `memcached` are those of `forRoot` unless they are given. */
export interface WorkerRegistration
  extends Partial<Omit<WorkerOptions, 'name' | 'updates'>>,
    Pick<WorkerOptions, 'updates'> {
  /** The name of the queue whose jobs it works on. */
  readonly queue: string;
}

/** @throws TorilError INVALID_OPTIONS */
export function queueOptions(
  name: string,
  shared: TorilModuleOptions | undefined,
  own: Partial<QueueOptions>,
): QueueOptions {
  const { memcached: _readersAndWorkersOnly, ...forQueues } = shared ?? {};
  return withConnection(`the queue "${name}"`, { ...forQueues, ...own });
}

/** @throws TorilError INVALID_OPTIONS */
export function workerOptions(
  queue: string,
  shared: TorilModuleOptions | undefined,
  own: Partial<WorkerOptions> & Pick<WorkerOptions, 'updates'>,
): WorkerOptions {
  return withConnection(`the worker of "${queue}"`, { ...shared, ...own });
}

/** BullMQ would take localhost. */
function withConnection<Options extends { connection?: unknown }>(
  whose: string,
  options: Options,
): Options & Pick<WorkerOptions, 'connection'> {
  if (options.connection !== undefined)
    return options as Options & Pick<WorkerOptions, 'connection'>;
  throw new TorilError(
    'INVALID_OPTIONS',
    `${whose} has no "connection": give it to TorilModule.forRoot(), or where it is registered.`,
  );
}
