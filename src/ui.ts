/**
 * `toril/ui`: a page that shows every key of some queues, and acts on them. A Web-standard handler to mount; `toril ui`
 * serves the same.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemClock } from './base/clock.ts';
import { systemRandom } from './base/random.ts';
import { closeServers } from './open-cells.ts';
import type { Queue } from './jobs/queue.ts';
import { openServers } from './memcached/open-servers.ts';
import { createApp } from './ui/app.ts';
import { getRequestListener } from './ui/node-http.ts';
import { Links } from './ui/links.ts';
import { checkUiOptions, type UiOptions } from './ui/options.ts';
import { QueueBoard } from './ui/queue-board.ts';

export type { AccessToken, May, Shown, UiOptions, Visitor } from './ui/options.ts';

export interface Ui {
  /** For hosts that speak Web-standard requests: hono, Next.js, SvelteKit, Bun, Deno. */
  fetch(request: Request): Promise<Response>;
  /** For Node's own server, express, fastify and Nest. */
  node(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Where the page shows the key of a job, for links from elsewhere (bull-board's `externalJobUrl`). */
  jobAddress(queue: Queue, jobId: string): string;
  /** Ends what is live, and the connections to memcached; the queues stay open. */
  close(): Promise<void>;
}

/** @throws TorilError INVALID_OPTIONS */
export function createUi(options: UiOptions): Ui {
  checkUiOptions(options);
  const { queues, memcached, ...rest } = options;
  const servers =
    memcached === undefined ? undefined : openServers(memcached, systemClock, systemRandom);
  const boards = queues.map((queue) => new QueueBoard(queue, servers, systemClock));
  const app = createApp(rest, boards, systemClock);
  const links = new Links(options.basePath ?? '', undefined);
  return {
    fetch: (request) => app.fetch(request),
    // The adapter's own kind of request is none of the platform's, which hono's limit of a body makes another one of.
    node: getRequestListener((request) => app.fetch(new Request(request.url, request)), {
      overrideGlobalObjects: false,
    }),
    jobAddress: ({ qualifiedName }, jobId) => links.job(qualifiedName, jobId),
    async close() {
      app.close();
      if (servers !== undefined) await closeServers(servers, servers.close());
    },
  };
}
