/**
 * The last resort for a machine without the binaries and without a way to install them: the
 * servers of docker-compose.yml, as a Compose project of this process alone.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { whenThisProcessEnds } from './guard.mjs';
import { say } from './setup-error.mjs';

/** @typedef {import('./server-kinds.mjs').ServerKind} ServerKind */

/** @returns {boolean} an engine answers and knows `compose` */
export function composeWorks() {
  return ['compose version', 'info'].every((words) => {
    const args = words.split(' ');
    return spawnSync('docker', args, { stdio: 'ignore', timeout: 20_000 }).status === 0;
  });
}

/**
 * @param {readonly ServerKind[]} kinds
 * @param {string} root the folder of docker-compose.yml
 * @returns {{ addresses: Map<ServerKind, string>, stop: () => void } | undefined}
 */
export function startContainers(kinds, root) {
  const names = kinds.map((kind) => kind.name);
  say(`starting ${names.join(' and ')} with docker compose`);
  const files = ['docker-compose.yml', join('scripts', 'containers.yml')];
  const project = [
    ...['compose', '--project-name', `toril-${process.pid}`],
    ...files.flatMap((file) => ['--file', join(root, file)]),
  ];
  const down = [...project, 'down', '--volumes', '--timeout', '1'];
  const standDown = whenThisProcessEnds('exec docker "$@"', down);
  const stop = () => {
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

/** @param {ServerKind} kind @param {string[]} project */
function addressOf(kind, project) {
  const args = [...project, 'port', kind.name, String(kind.usualPort)];
  return spawnSync('docker', args, { encoding: 'utf8' }).stdout.trim();
}
