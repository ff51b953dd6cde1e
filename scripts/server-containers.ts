/**
 * The last resort for a machine without the binaries and without a way to install them: the
 * servers of docker-compose.yml, as a Compose project of this process alone.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { whenThisProcessEnds } from '../src/cli/fleet/guard.ts';
import type { ServerKind } from './server-kinds.ts';
import { say } from './setup-error.mjs';

/** An engine answers and knows `compose`. */
export function composeWorks(): boolean {
  return ['compose version', 'info'].every((words) => {
    const args = words.split(' ');
    return spawnSync('docker', args, { stdio: 'ignore', timeout: 20_000 }).status === 0;
  });
}

export interface Containers {
  /** `host:port` of each. */
  readonly addresses: ReadonlyMap<ServerKind, string>;
  readonly stop: () => void;
}

/** @param root the folder of docker-compose.yml */
export function startContainers(
  kinds: readonly ServerKind[],
  root: string,
): Containers | undefined {
  const names = kinds.map((kind) => kind.program.name);
  say(`starting ${names.join(' and ')} with docker compose`);
  const files = ['docker-compose.yml', join('scripts', 'containers.yml')];
  const project = [
    ...['compose', '--project-name', `toril-${process.pid}`],
    ...files.flatMap((file) => ['--file', join(root, file)]),
  ];
  const down = [...project, 'down', '--volumes', '--timeout', '1'];
  const standDown = whenThisProcessEnds('exec docker "$@"', down);
  const stop = (): void => {
    standDown();
    spawnSync('docker', down, { stdio: 'ignore' });
  };
  const up = [...project, 'up', '--detach', '--wait', ...names];
  if (spawnSync('docker', up, { stdio: ['ignore', 2, 2] }).status !== 0) {
    stop();
    return undefined;
  }
  return { addresses: new Map(kinds.map((kind) => [kind, addressOf(kind, project)])), stop };
}

function addressOf(kind: ServerKind, project: readonly string[]): string {
  const args = [...project, 'port', kind.program.name, String(kind.usualPort)];
  return spawnSync('docker', args, { encoding: 'utf8' }).stdout.trim();
}
