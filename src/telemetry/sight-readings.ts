import { queueAttributes } from './attributes.ts';
import type { Reading } from './metrics.ts';
import type { WorkerSight } from './observer.ts';

/** What the workers of a queue in this process know: of several, the worst. */
export function sightReadings(queue: string, sights: readonly WorkerSight[]): Reading[] {
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
