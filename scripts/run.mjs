/**
 * Runs a command of this project on a machine that may have nothing but Node, npm and git:
 *
 *   node scripts/run.mjs [--servers] [--build] -- COMMAND [ARGUMENT...]
 *
 * installs the dependencies; --servers gets a Redis and a memcached, and stops those that it
 * started; --build compiles src to dist. Arguments, standard streams, signals and the exit code
 * are the command's.
 */
import { run } from './runner.mjs';
import { SetupError, runMain } from './setup-error.mjs';

const FLAGS = ['--servers', '--build'];
const USAGE = `usage: node scripts/run.mjs [${FLAGS.join('] [')}] -- COMMAND [ARGUMENT...]`;

await runMain(async () => {
  const words = process.argv.slice(2);
  const end = words.indexOf('--');
  const flags = words.slice(0, end);
  const command = words.slice(end + 1);
  const wrong = flags.some((flag) => !FLAGS.includes(flag));
  if (end === -1 || command.length === 0 || wrong) throw new SetupError(USAGE);
  return run({ servers: flags.includes('--servers'), build: flags.includes('--build'), command });
});
