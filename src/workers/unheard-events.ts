/**
 * Events that somebody has to see. A worker with a wrong address of memcached, or with a key that is held, would wait in
 * silence if nobody listens: then they are warnings of the process, which Node prints (`process.on('warning')`).
 */
import type { WorkerEvents } from './worker-events.ts';

type Name = keyof WorkerEvents;

/** What they say of the worker; of those without a text, their fields. */
const TEXTS: { readonly [N in Name]?: ((event: WorkerEvents[N]) => string) | undefined } = {
  serverUnavailable: ({ server, cause }) => `waits for ${server}: ${cause.message}`,
  serverAvailable: ({ server }) => `goes on: ${server} is available.`,
  laneHeld: ({ key, reason }) => `cannot go on with the key "${key}": ${reason}`,
  updateUnknown: ({ name, jobId }) =>
    `does not know the update "${name}" of job ${jobId}, which waits for a worker that does. Pass it in "updates".`,
  ...{ jobsMissing: undefined, jobsForgotten: undefined, redisReplaced: undefined },
  ...{ cellLost: undefined, keyChanged: undefined, updateChangesData: undefined },
};
/** Told each time: they come in pairs, once per outage. Others are told once by each worker, however many keys they are about. */
const EACH_TIME: ReadonlySet<Name> = new Set(['serverUnavailable', 'serverAvailable']);

export class UnheardEvents {
  readonly #queue: string;
  readonly #told = new Set<Name>();

  constructor(queue: string) {
    this.#queue = queue;
  }

  /** Nobody listens to this one. */
  note<N extends Name>(name: N, event: WorkerEvents[N]): void {
    if (!Object.hasOwn(TEXTS, name) || this.#told.has(name)) return;
    if (!EACH_TIME.has(name)) this.#told.add(name);
    const says = TEXTS[name]?.(event) ?? `tells of "${name}": ${JSON.stringify(event)}.`;
    const text = `the worker of the queue "${this.#queue}" ${says} Nobody listens to its event "${name}" (docs/events.md).`;
    process.emitWarning(text, { type: 'TorilWarning', code: 'EVENT_UNHEARD' });
  }
}
