import { spawnSync } from 'node:child_process';
import { SetupError } from '../../scripts/setup-error.mjs';

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const LINES_TOLD = 40;

/** Runs a program to its end; returns what it printed. @throws SetupError with its last lines */
export function command(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): string {
  const { status, stdout, stderr, error } = spawnSync(program, words, {
    ...{ env, encoding: 'utf8', maxBuffer: OUTPUT_BYTES_MAX, stdio: ['ignore', 'pipe', 'pipe'] },
  });
  if (status === 0) return stdout;
  const told = `${stdout ?? ''}${stderr ?? ''}`.trimEnd().split('\n').slice(-LINES_TOLD);
  throw new SetupError(
    [`${program} ${words[0]} failed${error ? `: ${error.message}` : ''}`, ...told].join('\n'),
  );
}

/** The same for what takes minutes: what it prints is shown. @throws SetupError */
export function follow(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): void {
  const { status } = spawnSync(program, words, { env, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new SetupError(`${program} failed: see above.`);
}

export function succeeds(program: string, words: readonly string[]): boolean {
  return spawnSync(program, words, { stdio: 'ignore', timeout: 20_000 }).status === 0;
}
