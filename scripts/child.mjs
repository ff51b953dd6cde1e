/** Runs a command in the foreground as if it had been called instead of us. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { SetupError } from './setup-error.mjs';

/** @type {NodeJS.Signals[]} */
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** How long a command may take to end after it was told to. */
const ENDING_MAX_MS = 30_000;
const ORPHAN_POLL_MS = 500;

/**
 * Resolves with its exit code, or with 128 + the signal that ended it, as a shell would say.
 * @param {string} root the project's folder, whose installed commands are found first
 * @param {string[]} command `node` is the Node that runs us
 * @param {Record<string, string>} [env] added to our own
 * @returns {Promise<number>}
 */
export function runChild(root, [program = '', ...args], env = {}) {
  const installed = join(root, 'node_modules', '.bin');
  const path = `${installed}${delimiter}${process.env['PATH'] ?? ''}`;
  return new Promise((resolve, reject) => {
    const child = spawn(program === 'node' ? process.execPath : program, args, {
      cwd: root,
      env: { ...process.env, ...env, PATH: path },
      stdio: 'inherit',
    });
    const stopForwarding = forwardSignals(child);
    child.on('error', (error) => {
      stopForwarding();
      reject(new SetupError(`${program} cannot be run: ${error.message}`));
    });
    child.on('exit', (code, signal) => {
      stopForwarding();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/**
 * We stay until the command has ended, so that it still has its servers while it shuts down.
 * @param {import('node:child_process').ChildProcess} child
 */
function forwardSignals(child) {
  /** @type {NodeJS.Timeout | undefined} */
  let lastResort;
  const forward = (/** @type {NodeJS.Signals} */ signal) => {
    // At a terminal, Ctrl-C reaches the command without us, and a second one would mean "at once".
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    lastResort ??= setTimeout(() => child.kill('SIGKILL'), ENDING_MAX_MS).unref();
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  const orphanWatch = whenOrphaned(() => forward('SIGTERM'));
  return () => {
    clearTimeout(lastResort);
    clearInterval(orphanWatch);
    for (const signal of FORWARDED) process.off(signal, forward);
  };
}

/**
 * npm runs a script through a shell, and a SIGTERM to npm ends only that shell: without this, the
 * command would run on with nobody waiting for it.
 * @param {() => void} callback
 */
function whenOrphaned(callback) {
  if (process.env['npm_lifecycle_event'] === undefined) return undefined;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    callback();
  }, ORPHAN_POLL_MS).unref();
  return watch;
}
