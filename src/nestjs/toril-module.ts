/** Toril in Nest's terms: who provides what, and where the options come from. */
import { type DynamicModule, type FactoryProvider, Module, type Provider } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, Reflector } from '@nestjs/core';
import { Queue } from '../jobs/queue.ts';
import type { QueueOptions } from '../jobs/queue-options.ts';
import { openCells } from '../open-cells.ts';
import { Worker } from '../workers/worker.ts';
import { TorilHealthIndicator } from './health.ts';
import { TorilLifecycle } from './lifecycle.ts';
import {
  type QueueRegistration,
  queueOptions,
  type TorilAsyncOptions,
  type TorilModuleOptions,
  type WorkerRegistration,
  workerOptions,
} from './options.ts';
import { CELLS_TOKEN, getQueueToken, getWorkerToken, SHARED_TOKEN } from './tokens.ts';

const lifecycle: FactoryProvider = {
  provide: TorilLifecycle,
  inject: [DiscoveryService, Reflector],
  useFactory: (...needs: ConstructorParameters<typeof TorilLifecycle>) =>
    new TorilLifecycle(...needs),
};
const health: FactoryProvider = {
  provide: TorilHealthIndicator,
  inject: [DiscoveryService],
  useFactory: (discovery: DiscoveryService) => new TorilHealthIndicator(discovery),
};
const cells: FactoryProvider = {
  provide: CELLS_TOKEN,
  inject: [SHARED_TOKEN, TorilLifecycle],
  useFactory: ({ memcached }: TorilModuleOptions, life: TorilLifecycle) =>
    life.ownsCells(openCells({ memcached })),
};
const SHARED = { token: SHARED_TOKEN, optional: true };

export class TorilModule {
  /** What all queues, workers and readers share. Provides readers of cells and `TorilHealthIndicator`. */
  static forRoot(options: TorilModuleOptions): DynamicModule {
    return root({ provide: SHARED_TOKEN, useValue: options });
  }

  static forRootAsync(options: TorilAsyncOptions<TorilModuleOptions>): DynamicModule {
    return root(fromFactory(SHARED_TOKEN, options), options.imports);
  }

  /** Provides `Queue`s, for `InjectQueue(name)`. */
  static registerQueue(...queues: readonly QueueRegistration[]): DynamicModule {
    return provided(
      queues.map(({ name, ...own }) => ({
        provide: getQueueToken(name),
        inject: [TorilLifecycle, SHARED],
        useFactory: (life: TorilLifecycle, shared?: TorilModuleOptions) =>
          life.ownsQueue(new Queue(name, queueOptions(name, shared, own))),
      })),
    );
  }

  static registerQueueAsync(
    options: { readonly name: string } & TorilAsyncOptions<Partial<QueueOptions>>,
  ): DynamicModule {
    const { name, imports, inject = [] } = options;
    const queue: FactoryProvider = {
      provide: getQueueToken(name),
      inject: [TorilLifecycle, SHARED, ...inject],
      useFactory: async (
        life: TorilLifecycle,
        shared: TorilModuleOptions | undefined,
        ...injected: unknown[]
      ) => {
        const own = await options.useFactory(...injected);
        return life.ownsQueue(new Queue(name, queueOptions(name, shared, own)));
      },
    };
    return provided([queue], imports);
  }

  /** Workers: they begin once the application has started, and are closed with it. For `InjectWorker(queue)`. */
  static registerWorker(...workers: readonly WorkerRegistration[]): DynamicModule {
    return provided(
      workers.map(({ queue, ...own }) => ({
        provide: getWorkerToken(queue),
        inject: [TorilLifecycle, SHARED],
        useFactory: (life: TorilLifecycle, shared?: TorilModuleOptions) =>
          openWorker(life, queue, shared, own),
      })),
    );
  }

  static registerWorkerAsync(
    options: { readonly queue: string } & TorilAsyncOptions<Omit<WorkerRegistration, 'queue'>>,
  ): DynamicModule {
    const { queue, imports, inject = [] } = options;
    const worker: FactoryProvider = {
      provide: getWorkerToken(queue),
      inject: [TorilLifecycle, SHARED, ...inject],
      useFactory: async (
        life: TorilLifecycle,
        shared: TorilModuleOptions | undefined,
        ...injected: unknown[]
      ) => openWorker(life, queue, shared, await options.useFactory(...injected)),
    };
    return provided([worker], imports);
  }
}

Module({})(TorilModule);

type Imports = DynamicModule['imports'];

function root(shared: Provider, imports: Imports = []): DynamicModule {
  return {
    module: TorilModule,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [shared, lifecycle, cells, health],
    exports: [SHARED_TOKEN, CELLS_TOKEN, TorilHealthIndicator],
  };
}

function provided(providers: readonly FactoryProvider[], imports: Imports = []): DynamicModule {
  return {
    module: TorilModule,
    imports: [DiscoveryModule, ...imports],
    providers: [lifecycle, ...providers],
    exports: providers.map(({ provide }) => provide),
  };
}

function fromFactory<Options>(
  provide: string,
  { inject = [], useFactory }: TorilAsyncOptions<Options>,
): FactoryProvider {
  return { provide, inject, useFactory };
}

function openWorker(
  life: TorilLifecycle,
  queue: string,
  shared: TorilModuleOptions | undefined,
  { autorun = true, ...own }: Omit<WorkerRegistration, 'queue'>,
): Worker {
  const worker = new Worker(queue, { ...workerOptions(queue, shared, own), autorun: false });
  return life.ownsWorker(worker, autorun);
}
