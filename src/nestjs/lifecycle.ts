/**
 * What the application's life means to what was registered: workers begin when everything is there, with their listeners
 * attached, and everything is closed when the application is.
 */
import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type DiscoveryService, MetadataScanner, type Reflector } from '@nestjs/core';
import type { Queue } from '../jobs/queue.ts';
import type { OpenCells } from '../open-cells.ts';
import type { Worker } from '../workers/worker.ts';
import { LISTENS_TO, ON_WORKER_EVENT } from './decorators.ts';

interface Registered {
  readonly worker: Worker;
  readonly begins: boolean;
}

export class TorilLifecycle implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #discovery: DiscoveryService;
  readonly #reflector: Reflector;
  readonly #logger = new Logger('Toril');
  readonly #workers: Registered[] = [];
  readonly #others: (Queue | OpenCells)[] = [];

  constructor(discovery: DiscoveryService, reflector: Reflector) {
    this.#discovery = discovery;
    this.#reflector = reflector;
  }

  ownsWorker(worker: Worker, begins: boolean): Worker {
    worker.on('error', (error) => this.#logger.error(error.message, error.stack));
    this.#workers.push({ worker, begins });
    return worker;
  }

  ownsQueue(queue: Queue): Queue {
    queue.on('error', (error) => this.#logger.error(error.message, error.stack));
    this.#others.push(queue);
    return queue;
  }

  ownsCells(cells: OpenCells): OpenCells {
    this.#others.push(cells);
    return cells;
  }

  onApplicationBootstrap(): void {
    for (const { worker, begins } of this.#workers) {
      this.#attachListeners(worker);
      if (begins) void worker.run().catch(() => undefined); // an `error` event
    }
  }

  /** Workers first: what they finish may still be told to those who wait. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.#workers.map(({ worker }) => worker.close()));
    await Promise.all(this.#others.map((one) => one.close()));
  }

  #attachListeners(worker: Worker): void {
    const scanner = new MetadataScanner();
    for (const { instance, metatype } of this.#discovery.getProviders()) {
      if (typeof instance !== 'object' || instance === null) continue;
      // What a factory made has the factory for a metatype.
      const type = (instance as object).constructor ?? metatype;
      if (this.#reflector.get<string | undefined>(LISTENS_TO, type) !== worker.name) continue;
      for (const name of scanner.getAllMethodNames(Object.getPrototypeOf(instance) as object)) {
        const method = (instance as Record<string, (...args: unknown[]) => unknown>)[name];
        if (typeof method !== 'function') continue;
        const event = this.#reflector.get<'completed' | undefined>(ON_WORKER_EVENT, method);
        if (event !== undefined) worker.on(event, method.bind(instance));
      }
    }
  }
}
