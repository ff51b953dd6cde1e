/**
 * Whether the BullMQ that is installed is one whose scripts Toril knows: looked at once per process, and the only such look.
 * What depends on the answer: the head of layout.ts.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { TorilError } from '../../../errors.ts';
import { bullScripts } from './bullmq-text.ts';
import { INDISPENSABLE, SCRIPTS, TRIED_VERSIONS } from './layout.ts';

export interface InstalledBullMQ {
  /** '' if it does not say. */
  readonly version: string;
  /** Scripts whose text is another one. */
  readonly changed: readonly string[];
  /** Scripts without which nothing works, and that it does not have. */
  readonly missing: readonly string[];
}

let installed: InstalledBullMQ | undefined;

export function installedBullMQ(): InstalledBullMQ {
  installed ??= look();
  return installed;
}

/** Unknown: nothing of BullMQ's is written but by its own scripts. */
export function isKnownBullMQ(): boolean {
  return installedBullMQ().changed.length === 0;
}

/** When a queue or a worker is made. @throws TorilError BULLMQ_UNSUPPORTED */
export function checkBullMQ(): void {
  const { version, missing } = installedBullMQ();
  if (missing.length === 0) return;
  throw new TorilError(
    'BULLMQ_UNSUPPORTED',
    `BullMQ ${version} has no script ${missing.map((name) => `"${name}"`).join(', ')}, which Toril needs. Install bullmq@${TRIED_VERSIONS.join(' or ')}.`,
  );
}

function look(): InstalledBullMQ {
  const scripts = bullScripts();
  const changed = Object.entries(SCRIPTS).filter(([name, hash]) => {
    const lua = scripts.get(name)?.lua;
    return lua === undefined || createHash('sha1').update(lua).digest('hex') !== hash;
  });
  return {
    version: versionOfBullMQ(),
    changed: changed.map(([name]) => name),
    missing: INDISPENSABLE.filter((name) => !scripts.has(name)),
  };
}

/** It does not export it. */
function versionOfBullMQ(): string {
  try {
    const { version } = createRequire(import.meta.url)('bullmq/package.json') as {
      version?: unknown;
    };
    return typeof version === 'string' ? version : '';
  } catch {
    return '';
  }
}
