/**
 * The image's health check. Healthy is: the worker's process is neither stopped nor dead, and Redis
 * and every memcached server take connections. It does not look into the worker: jobs that wait
 * although all is healthy are seen with `toril lane KEY`.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { parseAddress, problemConnecting } from './addresses.mjs';

const DEADLINE_MS = 2_000;
const SERVERS = { TORIL_REDIS: 6379, TORIL_MEMCACHED: 11211 };

const problems = [...problemsOfWorker(), ...(await problemsOfServers())];
if (problems.length > 0) {
  console.log(problems.join('\n'));
  process.exitCode = 1;
}

function problemsOfWorker() {
  // With an init process in the container, the worker is not process 1.
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const state = pids.map(stateOfWorker).find((found) => found !== undefined);
  if (state === undefined) return ['no worker runs'];
  return /[TtZX]/.test(state) ? [`the worker's process is in state ${state}`] : [];
}

/** @param {string} pid @returns {string | undefined} its letter in ps, if it is a worker */
function stateOfWorker(pid) {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    if (!words.some((word) => word.endsWith('cli/main.js'))) return undefined;
    return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
  } catch {
    return undefined; // ended while we were looking
  }
}

async function problemsOfServers() {
  const problems = [];
  for (const [variable, usualPort] of Object.entries(SERVERS)) {
    for (const text of (process.env[variable] ?? '').split(',')) {
      const address = parseAddress(text.trim(), usualPort);
      const problem =
        address === undefined ? 'not an address' : await problemConnecting(address, DEADLINE_MS);
      if (problem !== undefined) problems.push(`${variable}: ${problem}`);
    }
  }
  return problems;
}
