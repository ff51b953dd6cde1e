/**
 * Takes the steps of a simulation where V8 cannot be asked to run promises to their end: each step is a task of its own,
 * behind which every browser, and Node, does that by itself.
 */
import type { Steps } from '../../test/simulation/scheduler.ts';

export function inTurns(steps: Steps): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise<void>((resolve, reject) => {
    const onmessage = (): void => {
      try {
        if (steps.next().done === true) resolve();
        else port2.postMessage(undefined);
      } catch (thrown) {
        reject(thrown as Error);
      }
    };
    Object.assign(port1, { onmessage }); // which Node has as well, but its types do not
    port2.postMessage(undefined);
  }).finally(() => port1.close());
}
