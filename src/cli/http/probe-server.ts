/** What `toril worker --http` answers: whether the worker is alive, whether it is ready, and its metrics. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf } from '../../errors.ts';
import type { HealthProblem, WorkerHealth } from '../../workers/health/health.ts';
import { type Listening, listen } from './listening.ts';
import type { PrometheusMeters } from './prometheus.ts';

/** Milliseconds until a request must be there; none of ours has a body. */
const REQUEST_MS = 5_000;

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

export interface Probed {
  /** Undefined: there is no worker yet, or none any more. */
  readonly health: () => Promise<WorkerHealth>;
  readonly metrics: Pick<PrometheusMeters, 'text' | 'contentType'>;
}

export interface ProbeServer {
  readonly port: number;
  close(): Promise<void>;
}

/** @throws TorilError INVALID_OPTIONS */
export async function serveProbes(probed: Probed, where: Listening): Promise<ProbeServer> {
  const server = createServer((request, response) => void respond(probed, request, response));
  server.requestTimeout = REQUEST_MS;
  server.headersTimeout = REQUEST_MS;
  await listen(server, where);
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const gone = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await gone;
    },
  };
}

async function respond(
  probed: Probed,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { status, body, type = 'text/plain; charset=utf-8' } = await answerTo(probed, request);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function answerTo({ health, metrics }: Probed, request: IncomingMessage): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, body: 'only GET and HEAD\n' };
  try {
    switch (request.url?.split('?')[0]) {
      case '/livez':
        return probe(await health(), 'live');
      case '/readyz':
        return probe(await health(), 'ready');
      case '/metrics':
        return { status: 200, body: await metrics.text(), type: metrics.contentType };
      default:
        return { status: 404, body: 'there are /livez, /readyz and /metrics\n' };
    }
  } catch (thrown) {
    return { status: 500, body: `${messageOf(thrown)}\n` };
  }
}

/** What is wrong is said also where it does not count. */
function probe({ live, ready, problems }: WorkerHealth, asked: 'live' | 'ready'): Answer {
  const isWell = asked === 'live' ? live : ready;
  const lines = problems.filter((one) => asked === 'ready' || one.concerns === 'live').map(line);
  return {
    status: isWell ? 200 : 503,
    body: `${[isWell ? 'ok' : `not ${asked}`, ...lines].join('\n')}\n`,
  };
}

function line({ server, code, message }: HealthProblem): string {
  return `${server === undefined ? '' : `${server}: `}${code}: ${message}`;
}
