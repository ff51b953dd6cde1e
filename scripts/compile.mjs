/** Compiles src to dist. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runChild } from './child.mjs';
import { withLock } from './lock-directory.mjs';
import { SetupError, say } from './setup-error.mjs';

const CONFIGURATION = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

/**
 * @param {string} root
 * @param {{ always: boolean }} options unless `always`, only if the sources have changed since
 */
export async function compile(root, { always }) {
  if (!always && isCompiled(root)) return;
  await withLock(
    join(root, '.toril', 'compile.lock'),
    async () => {
      if (!always && isCompiled(root)) return;
      say('compiling src to dist');
      await emit(root);
    },
    () => say('another process is compiling: waiting for it'),
  );
}

/**
 * Writes over what is there and then removes what no source stands behind, so that a process that
 * runs from dist at this moment never finds it empty.
 * @param {string} root
 */
async function emit(root) {
  const fingerprint = fingerprintOf(root);
  const stamp = stampOf(root);
  rmSync(stamp, { force: true });
  const code = await runChild(root, ['tsc', '-p', 'tsconfig.build.json', '--noEmitOnError']);
  if (code !== 0) throw new SetupError('src does not compile: see above.');
  removeOrphans(root);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, fingerprint);
}

/** @param {string} root */
function removeOrphans(root) {
  const sources = new Set(sourcesOf(root).map((file) => file.replace(/\.ts$/, '')));
  const dist = join(root, 'dist');
  for (const file of filesIn(dist)) {
    if (!sources.has(file.replace(/(\.d\.ts|\.js)(\.map)?$/, ''))) rmSync(join(dist, file));
  }
}

/** @param {string} root */
function isCompiled(root) {
  const stamp = stampOf(root);
  if (!existsSync(join(root, 'dist')) || !existsSync(stamp)) return false;
  return readFileSync(stamp, 'utf8') === fingerprintOf(root);
}

/** @param {string} root */
function stampOf(root) {
  return join(root, '.toril', 'compiled-from');
}

/** By content: a checkout of another commit gives files new dates. @param {string} root */
function fingerprintOf(root) {
  const hash = createHash('sha256');
  const files = [...CONFIGURATION, ...sourcesOf(root).map((file) => join('src', file))];
  for (const file of files) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

/** @param {string} root */
function sourcesOf(root) {
  return filesIn(join(root, 'src')).filter((file) => file.endsWith('.ts'));
}

/** @param {string} folder @returns {string[]} paths below it */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted();
}
