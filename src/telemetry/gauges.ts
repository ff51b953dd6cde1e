/** What stands at some number now: of a queue, and of its workers in this process. */
import { queueAttributes } from './attributes.ts';
import type { Reading } from './metrics.ts';
import type { Backlog, WorkerSight } from './observer.ts';

export function queueGauges(queue: string, backlog: Backlog): Reading[] {
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

/** What the workers of a queue in this process know: of several, the worst. */
export function workerGauges(queue: string, sights: readonly WorkerSight[]): Reading[] {
  const common = queueAttributes(queue);
  const available = new Map<string, number>();
  const stopped = new Map<string, number>();
  for (const sight of sights) {
    for (const { server, available: is } of sight.servers)
      available.set(server, Math.min(available.get(server) ?? 1, is ? 1 : 0));
    for (const [code, keys] of sight.stopped)
      stopped.set(code, Math.max(stopped.get(code) ?? 0, keys));
  }
  return [
    ...Array.from(
      available,
      ([server, value]): Reading => ({
        metric: 'toril.server.available',
        attributes: { ...common, 'server.address': server },
        value,
      }),
    ),
    ...Array.from(
      stopped,
      ([code, value]): Reading => ({
        metric: 'toril.keys.stopped',
        attributes: { ...common, 'error.type': code },
        value,
      }),
    ),
  ];
}
