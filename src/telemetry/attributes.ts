/** Attributes that messaging conventions name. */
import type { Attributes } from './metrics.ts';
import { type Operation, OPERATIONS } from './tracing.ts';

/** None of the systems that the conventions list: theirs would be `redis`, which is what carries the jobs. */
const SYSTEM = 'bullmq';

export function queueAttributes(queue: string): Attributes {
  return { 'messaging.destination.name': queue };
}

/** Of a metric. */
export function operationAttributes(queue: string, operation: Operation): Attributes {
  return {
    'messaging.system': SYSTEM,
    'messaging.operation.name': operation,
    ...queueAttributes(queue),
  };
}

/** Of a span. */
export function spanAttributes(queue: string, operation: Operation): Attributes {
  return {
    ...operationAttributes(queue, operation),
    'messaging.operation.type': OPERATIONS[operation],
  };
}
