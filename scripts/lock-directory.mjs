/**
 * A lock between processes of one machine: whoever can make the directory has it. The holder
 * touches it every second, so that a lock whose holder died, or whose process id belongs to
 * somebody else by now, can be taken over.
 */
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const HEARTBEAT_MS = 1_000;
/** Longer than a busy machine, or a laptop's lid, keeps a heartbeat back for. */
const SILENCE_MAX_MS = 60_000;
/** A directory without its holder's id: the holder is between its two first system calls. */
const NAMELESS_MAX_MS = 5_000;
const POLL_MS = 100;

/**
 * Runs `task` while no other process runs one under the same path.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} task
 * @param {() => void} [onWait] called once if somebody else has the lock
 * @returns {Promise<T>}
 */
export async function withLock(path, task, onWait) {
  mkdirSync(dirname(path), { recursive: true });
  let waiting = false;
  while (!tryLock(path)) {
    if (!waiting) onWait?.();
    waiting = true;
    if (isStale(path)) breakStale(path);
    else await sleep(POLL_MS);
  }
  const heartbeat = setInterval(() => touch(path), HEARTBEAT_MS);
  try {
    return await task();
  } finally {
    clearInterval(heartbeat);
    rmSync(path, { recursive: true, force: true });
  }
}

/** @param {string} path */
function tryLock(path) {
  try {
    mkdirSync(path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
  writeFileSync(join(path, 'pid'), String(process.pid));
  return true;
}

/**
 * Two waiters must not both break the same lock: the second would break the first one's new lock.
 * So breaking is done under a lock of its own, which lasts for a few system calls only.
 * @param {string} path
 */
function breakStale(path) {
  const breaking = `${path}.breaking`;
  if (!tryLock(breaking)) {
    if (ageMs(breaking) > SILENCE_MAX_MS) rmSync(breaking, { recursive: true, force: true });
    return;
  }
  if (isStale(path)) rmSync(path, { recursive: true, force: true });
  rmSync(breaking, { recursive: true, force: true });
}

/** @param {string} path */
function isStale(path) {
  const age = ageMs(path);
  const holder = holderOf(path);
  if (holder === undefined) return age > NAMELESS_MAX_MS;
  return !isAlive(holder) || age > SILENCE_MAX_MS;
}

/** @param {string} path */
function holderOf(path) {
  try {
    const pid = Number(readFileSync(join(path, 'pid'), 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/** @param {string} path */
function ageMs(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0; // gone meanwhile: not stale, simply try again
  }
}

/** @param {string} path */
function touch(path) {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch {
    // Broken by somebody who took us for dead. The task goes on: it cannot be undone half-way.
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
