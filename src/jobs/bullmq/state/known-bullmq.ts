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
let isWarned = false;

export function installedBullMQ(): InstalledBullMQ {
  installed ??= look();
  return installed;
}

/** Unknown: nothing of BullMQ's is written but by its own scripts. */
export function isKnownBullMQ(): boolean {
  return installedBullMQ().changed.length === 0;
}

/**
 * When a queue or a worker is made. One that is unknown is told by a warning of the process, once (`process.on('warning')`; Node
 * prints it).
 * @throws TorilError BULLMQ_UNSUPPORTED
 */
export function checkBullMQ(): void {
  const { version, missing } = installedBullMQ();
  if (missing.length > 0) {
    throw new TorilError(
      'BULLMQ_UNSUPPORTED',
      `BullMQ ${version} has no script ${missing.map((name) => `"${name}"`).join(', ')}, which Toril needs. Install bullmq@${TRIED_VERSIONS.join(' or ')}.`,
    );
  }
  if (isKnownBullMQ() || isWarned) return;
  isWarned = true;
  process.emitWarning(costsOfUnknown(), { type: 'TorilWarning', code: 'BULLMQ_UNKNOWN' });
}

/** For people. */
export function costsOfUnknown(): string {
  const { version, changed } = installedBullMQ();
  return `BullMQ ${version} has other scripts (${changed.join(', ')}) than ${TRIED_VERSIONS.join(' or ')}, with which Toril was tried, so nothing that it keeps is written but by its own: ${ONE_BY_ONE}; jobs of a slow key are delivered, and snoozed, one by one; delays go by the clocks of workers and producers, not of Redis; deliveries that end in snoozing count for rate limits. What is applied stays exact.`;
}

/** For people: what it costs that the fast path is off. */
export const ONE_BY_ONE =
  'jobs are completed and fetched one by one, by the scripts of BullMQ: for each job these cost Redis three times, and the worker twice as much';

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
