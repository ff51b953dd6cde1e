/**
 * Cleans up behind this process however it ends, SIGKILL included: a small shell of its own waits
 * on a pipe that the system closes with the last process that holds it, which is this one.
 */
import { spawn } from 'node:child_process';

const STOOD_DOWN = 'stood down';

/**
 * Runs `script` (for /bin/sh; `args` are its $1, $2, ...) when this process ends. Returns what stands it
 * down: from then on nothing happens when this process ends.
 */
export function whenThisProcessEnds(script: string, args: readonly string[]): () => void {
  const program = `trap '' HUP INT TERM; read -r order; [ "$order" = '${STOOD_DOWN}' ] && exit; PATH=$PATH:/usr/bin:/bin; ${script}`;
  const guard = spawn('/bin/sh', ['-c', program, 'toril-guard', ...args], {
    // A process group of its own: Ctrl-C at the terminal must not end it before its work is done.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  guard.on('error', () => undefined); // no shell, no guard: what is left is the ordinary way of stopping
  const pipe = guard.stdin;
  pipe.on('error', () => undefined);
  if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
  return () => void pipe.end(`${STOOD_DOWN}\n`);
}
