/** `toril demo`: exact values in spite of everything, in less than a minute. */
import { type Command, InvalidArgumentError } from 'commander';
import { systemRandom } from '../../base/random.ts';
import { TorilError } from '../../errors.ts';
import { demoReport, isRight } from '../demo/report.ts';
import { runDemo } from '../demo/run.ts';
import { EXIT, type ExitWith } from '../terminal/exit-codes.ts';
import {
  addJsonFlag,
  addNamedServers,
  MEMCACHED_VARIABLE,
  REDIS_VARIABLE,
  wholeNumber,
} from '../flags/flags.ts';
import { ownServers } from '../servers/own-servers.ts';
import { interruptible } from '../terminal/signals.ts';
import { grouped, note, print, printJson, warn } from '../terminal/terminal.ts';

/** A key's value lists its jobs: beyond this, the hot one would not fit into memcached's 1 MiB. */
const JOBS_PER_KEY_MAX = 100_000;
const JOBS_MAX = 400_000;

interface DemoFlags {
  readonly jobs: number;
  readonly keys: number;
  readonly workers: number;
  readonly seed?: string;
  readonly redis?: string;
  readonly memcached?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Worker processes apply jobs to shared values, in an update that does not commute. On the way one
worker is killed (SIGKILL), one is frozen for longer than its leases last (SIGSTOP, SIGCONT), and
memcached is restarted. Then every value is compared with a plain sequential fold, and every BullMQ
job must have been completed exactly once, with its own result and without an attempt charged.
Exit code 1 if anything is wrong.

Redis: --redis or ${REDIS_VARIABLE}, else a private redis-server from the PATH. Memcached: a private
one, from TORIL_DEMO_MEMCACHED_BIN or the PATH, since it is restarted; without a binary the one
named by --memcached or ${MEMCACHED_VARIABLE}, and then the restart is left out.

Examples:
  toril demo
  toril demo --jobs 100000 --keys 1000 --workers 8
  toril demo --seed 7 --json`;

export function addDemoCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('demo')
    .description('kill, freeze and restart things, and show that every value is exact')
    .option('--jobs <n>', 'jobs in all', wholeNumber(1, JOBS_MAX), 20_000)
    .option('--keys <n>', 'keys; the first gets a fifth of the jobs', wholeNumber(1, 100_000), 100)
    .option('--workers <n>', 'worker processes', wholeNumber(1, 64), 4)
    .option('--seed <text>', 'repeats the same jobs and victims (default: chosen by chance)', seed);
  addJsonFlag(addNamedServers(command))
    .addHelpText('after', EXAMPLES)
    .action(async (flags: DemoFlags) => {
      check(flags);
      exitWith(await interruptible((signal) => demo(flags, signal)));
    });
}

async function demo(flags: DemoFlags, signal: AbortSignal): Promise<number> {
  const { jobs, keys, workers, seed = systemRandom.id() } = flags;
  const servers = await ownServers(flags, true);
  try {
    if (servers.restartMemcached === undefined) {
      warn(
        'there is no memcached binary here, and the one at --memcached is not ours to restart: this run leaves the restart out.',
      );
    }
    note(
      `${workers} worker processes, ${grouped(jobs)} jobs over ${grouped(keys)} keys, seed ${seed}`,
    );
    const result = await runDemo({ jobs, keys, workers, seed }, servers, signal);
    if (flags.json === true)
      printJson({ jobs, keys, workers, seed, ok: isRight(result), ...result });
    else print(demoReport(jobs, keys, result));
    return isRight(result) ? EXIT.done : EXIT.checkFailed;
  } finally {
    await servers.stop();
  }
}

function check({ jobs, keys, workers }: DemoFlags): void {
  const refuse = (what: string): never => {
    throw new TorilError('INVALID_OPTIONS', what);
  };
  if (jobs < keys) refuse(`--jobs (${jobs}) must not be less than --keys (${keys}).`);
  if (keys === 1 && jobs > JOBS_PER_KEY_MAX) {
    refuse(`--jobs (${jobs}) must not be more than ${JOBS_PER_KEY_MAX} with --keys 1.`);
  }
  if (workers < 2) refuse('--workers must be 2 or more: one is killed and one is frozen.');
}

function seed(text: string): string {
  if (/^[\w.-]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 64 letters, digits, dots or dashes.');
}
