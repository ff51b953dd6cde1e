/** What an image of a worker has to do: as its own user, from its own commands, with servers that are there. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container, ImageConfig, ImageEngine } from './engine.ts';

/** A bound, not a wait. */
const DEADLINE_MS = 300_000;
const POLL_MS = 200;
const QUEUE = `image-${process.pid}`;

/** A user's module, which imports Toril as in an image of the user's own. */
const UPDATES = `import { defineUpdate } from 'toril';
export default [defineUpdate({ name: 'add', key: (by) => by.to, initial: () => 0, apply: (n, by) => n + by.n })];
`;

/** @param say told of each thing that holds @throws what does not */
export async function tryImage(
  engine: ImageEngine,
  folder: string,
  say: (what: string) => void,
): Promise<void> {
  const config = engine.config();
  isEqual('user', config.User, 'node');
  const [worker, page] = [await freePort(), await freePort()];
  const updates = join(folder, 'updates.mjs');
  writeFileSync(updates, UPDATES);
  const setting = {
    env: {
      TORIL_REDIS: process.env['TORIL_REDIS'] ?? '',
      TORIL_MEMCACHED: process.env['TORIL_MEMCACHED'] ?? '',
      ...{ TORIL_QUEUE: QUEUE, TORIL_HTTP: `127.0.0.1:${worker}` },
    },
    files: { '/app/updates.mjs': updates },
  };
  const toril = (...words: readonly string[]): string[] => [...config.Entrypoint, ...words];

  const container = engine.run(toril(...config.Cmd), setting);
  const log = printed(container);
  await eventually('the worker starts', () => log().includes('started'), log);
  isEqual('whoami', container.exec(['whoami']), { code: 0, printed: 'node\n' });
  isEqual('writing below /app', container.exec(['touch', '/app/written']).code, 1);
  say('a worker runs as `node`, which may write nothing below /app');

  await eventually('it is healthy', () => isHealthy(container, config), log);
  say('its health check is content');

  isEqual('enqueue', container.exec(toril('enqueue', 'add', '{"to":"image","n":2}')).code, 0);
  const value = (): string => container.exec(toril('get', 'image')).printed.trim();
  await eventually('the job is applied', () => value() === '2', log);
  say('it takes a job, of updates that import `toril`');

  const ui = engine.run(toril('ui', '--port', String(page)), setting);
  const address = `http://127.0.0.1:${page}/sign-in`;
  const asks = ['node', '/app/scripts/container-health.mjs', address];
  await eventually('the page answers', () => ui.exec(asks).code === 0, printed(ui));
  say('the page answers its health check');
  isEqual('end of the page', await ended(ui), 0);

  isEqual('end of the worker', await ended(container), 0);
  if (!log().includes('stopped'))
    throw new Error(`the worker did not say that it stopped\n${log()}`);
  isEqual('health of a worker that has ended', isHealthy(container, config), false);
  say('SIGTERM ends them in good order');
}

function isHealthy(container: Container, { Healthcheck }: ImageConfig): boolean {
  const [kind, ...words] = Healthcheck?.Test ?? [];
  isEqual('kind of health check', kind, 'CMD');
  return container.exec(words).code === 0;
}

async function ended({ process: child, signal }: Container): Promise<number | null> {
  const exited = once(child, 'exit', { signal: AbortSignal.timeout(DEADLINE_MS) });
  signal('SIGTERM');
  return ((await exited) as [number | null])[0];
}

function printed({ process: child }: Container): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk) => (text += String(chunk)));
  return () => text;
}

async function eventually(what: string, holds: () => boolean, log: () => string): Promise<void> {
  const until = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > until)
      throw new Error(`not within ${DEADLINE_MS} ms: ${what}\n${log()}`);
    await sleep(POLL_MS);
  }
}

function isEqual(what: string, found: unknown, wanted: unknown): void {
  const [is, shouldBe] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== shouldBe) throw new Error(`${what}: ${is}, but it should be ${shouldBe}`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
