import { queueAttributes } from './attributes.ts';
import type { Reading } from './metrics.ts';
import type { Backlog } from './observer.ts';

/** The gauges of a queue. */
export function backlogReadings(queue: string, backlog: Backlog): Reading[] {
  const attributes = queueAttributes(queue);
  const { waiting, active, delayed, runnable, held } = backlog;
  const { oldestHeadMs, oldestRunnableHeadMs, oldestStates } = backlog;
  return [
    { metric: 'toril.queue.backlog', attributes, value: waiting },
    { metric: 'toril.queue.active', attributes, value: active },
    { metric: 'toril.queue.delayed', attributes, value: delayed },
    { metric: 'toril.queue.keys.runnable', attributes, value: runnable },
    { metric: 'toril.queue.keys.held', attributes, value: held },
    { metric: 'toril.queue.oldest_head.age', attributes, value: oldestHeadMs / 1_000 },
    {
      metric: 'toril.queue.oldest_runnable_head.age',
      attributes,
      value: oldestRunnableHeadMs / 1_000,
    },
    ...Array.from(
      oldestStates,
      ([state, value]): Reading => ({
        metric: 'toril.queue.keys.oldest',
        attributes: { ...attributes, 'toril.lane.state': state },
        value,
      }),
    ),
  ];
}
