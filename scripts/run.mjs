/**
 * Runs a command of this project on a machine that may have nothing but Node, npm and git:
 *
 *   node scripts/run.mjs [--servers] [--build] [-- COMMAND [ARGUMENT...]]
 *
 * installs the dependencies; --servers gets a Redis and a memcached, and stops those that it
 * started; --build compiles src to dist, if it has changed. Arguments, standard streams, signals and the
 * exit code are the command's.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from './child.mjs';
import { installDependencies } from './install.mjs';
import { withLock } from './lock-directory.mjs';
import { SetupError, runMain, say } from './setup-error.mjs';

/** The folder of package.json. */
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FLAGS = ['--servers', '--build'];
const USAGE = `usage: node scripts/run.mjs [${FLAGS.join('] [')}] [-- COMMAND [ARGUMENT...]]`;

await runMain(async () => {
  const words = process.argv.slice(2);
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  const flags = words.slice(0, end);
  const command = words.slice(end + 1);
  if (flags.some((flag) => !FLAGS.includes(flag))) throw new SetupError(USAGE);
  await installDependencies(ROOT);
  if (flags.includes('--build')) await build();
  if (command.length === 0) return 0;
  if (!flags.includes('--servers')) return runChild(ROOT, command);
  // TypeScript, which the command line of the product shares: only now is there something that runs it.
  (await import('tsx/esm/api')).register();
  const { getServers } = await import('./servers.ts');
  const got = await getServers();
  try {
    return await runChild(ROOT, command, got.env);
  } finally {
    await got.stop();
  }
});

async function build() {
  const waits = () => say('another process is compiling: waiting for it');
  const compiling = () => runChild(ROOT, ['tsc', '--build', 'tsconfig.build.json']);
  const code = await withLock(join(ROOT, '.toril', 'compile.lock'), compiling, waits);
  if (code !== 0) throw new SetupError('src does not compile: see above.');
}
