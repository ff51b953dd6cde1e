/** Decorators, as users of @nestjs/bullmq know them. */
import { Inject, SetMetadata } from '@nestjs/common';
import type { TorilListener } from '../workers/worker.ts';
import { CELLS_TOKEN, getQueueToken, getWorkerToken } from './tokens.ts';

export const LISTENS_TO = 'toril:listens-to';
export const ON_WORKER_EVENT = 'toril:on-worker-event';

/** Decorates a property, or a parameter of a constructor. */
export type Injecting = PropertyDecorator & ParameterDecorator;

/** The `Queue` that `registerQueue` made. */
export function InjectQueue(name: string): Injecting {
  return Inject(getQueueToken(name));
}

/** The `Worker` that `registerWorker` made. */
export function InjectWorker(queue: string): Injecting {
  return Inject(getWorkerToken(queue));
}

/** Readers of cells, from the memcached of `forRoot`. */
export function InjectCells(): Injecting {
  return Inject(CELLS_TOKEN);
}

/** A provider whose methods with `OnWorkerEvent` hear of a queue's worker in this application. */
export function WorkerListener(queue: string): ClassDecorator {
  return SetMetadata(LISTENS_TO, queue);
}

/** BullMQ's events (`completed`, `failed`, ...) and Toril's (`laneHeld`, `cellRestored`, ...). */
export function OnWorkerEvent<Name extends keyof TorilListener>(
  event: Name,
): <Method extends (...args: Parameters<TorilListener[Name]>) => unknown>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void {
  return (target, name, descriptor) => {
    SetMetadata(ON_WORKER_EVENT, event)(
      target,
      name,
      descriptor as unknown as TypedPropertyDescriptor<object>,
    );
  };
}
