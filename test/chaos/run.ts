/** One run: rounds of faults, each with a liveness end, then the audit. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { audit } from './auditor.ts';
import { drain, DRAIN_MAX_MS } from './drain.ts';
import { readEndState } from './end-state.ts';
import type { Violation } from './evidence.ts';
import { Faults } from './faults.ts';
import { figuresOf, type Figures } from './figures.ts';
import { type Happened, readHistory } from './history.ts';
import { drawSchedule } from './schedule.ts';
import { KEYS, openSite, QUEUE, type Site } from './site.ts';
import type { TwinName } from './twins.ts';

const ROUND_MS = 60_000;

export interface RunOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly twin?: TwinName | undefined;
  /** Told of what happens, for people. */
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly violations: readonly Violation[];
  readonly figures: Figures;
  readonly history: readonly Happened[];
  /** Where history and logs are; undefined: all went well, and they are gone. */
  readonly artefacts: string | undefined;
}

export async function runChaos(options: RunOptions): Promise<RunResult> {
  const folder = mkdtempSync(join(tmpdir(), 'toril-chaos-'));
  const site = await openSite({ seed: options.seed, folder, twin: options.twin });
  const { missing } = site.network;
  if (missing !== undefined) {
    options.say(`no network namespaces here (${missing}): this run has no partitions`);
  }
  const redis = new Redis({
    port: site.redis.port,
    replyMapping: 'legacy',
    maxRetriesPerRequest: null,
  });
  redis.on('error', () => undefined);
  try {
    const { drains, left, faults, strikingMs } = await playRounds(site, redis, options);
    const history = readHistory(folder);
    const end = await readEndState(redis, QUEUE, KEYS, jobIdsIn(history));
    const violations = [
      ...site.crashes.map((what) => ({ promise: 'P6', key: '', what })),
      ...left.map((what) => ({
        promise: 'P6',
        key: '',
        what: `not drained ${DRAIN_MAX_MS} ms after the last fault: ${what}`,
      })),
      ...audit(history, end),
    ];
    const figures = figuresOf({ history, end, faults, drains, strikingMs });
    const failed = violations.length > 0;
    if (!failed) rmSync(folder, { recursive: true });
    return { violations, figures, history, artefacts: failed ? folder : undefined };
  } finally {
    redis.disconnect();
    await site.close();
  }
}

interface Played {
  readonly drains: readonly number[];
  readonly left: readonly string[];
  readonly faults: Faults;
  readonly strikingMs: number;
}

async function playRounds(site: Site, redis: Redis, options: RunOptions): Promise<Played> {
  const { minutes, seed, say } = options;
  const totalMs = minutes * 60_000;
  const rounds = Math.max(1, Math.round(totalMs / ROUND_MS));
  const faults = new Faults(site);
  const drains: number[] = [];
  let strikingMs = 0;
  await Promise.all(
    [...site.workers, ...site.producers, site.reader].map((member) => member.start()),
  );
  for (let round = 0; round < rounds; round++) {
    await Promise.all(site.producers.map((producer) => producer.order('go')));
    strikingMs += await strikeAll(faults, drawSchedule(seed, round, totalMs / rounds));
    await Promise.all(site.producers.map((producer) => producer.order('rest')));
    // So that every key must go on, also one that nobody has asked for since it got stuck.
    await site.producers[0]?.order('touch');
    const { tookMs, left } = await drain(redis, QUEUE);
    await site.reader.order('rest');
    drains.push(tookMs);
    const struck = [...faults.counts.values()].reduce((sum, count) => sum + count, 0);
    say(
      `round ${round + 1} of ${rounds}: ${struck} faults so far, drained in ${Math.round(tookMs)} ms`,
    );
    if (left !== undefined) return { drains, left: [left], faults, strikingMs };
    if (site.crashes.length > 0) break;
  }
  return { drains, left: [], faults, strikingMs };
}

/** Resolves when the last fault is over, with the milliseconds from the first one to the beginning of the last. */
async function strikeAll(
  faults: Faults,
  schedule: ReturnType<typeof drawSchedule>,
): Promise<number> {
  const startedMs = performance.now();
  const underWay: Promise<void>[] = [];
  for (const fault of schedule) {
    await sleep(Math.max(0, fault.atMs - (performance.now() - startedMs)));
    underWay.push(faults.strike(fault));
  }
  const strikingMs = performance.now() - startedMs;
  await Promise.all(underWay);
  faults.heal();
  return strikingMs;
}

function jobIdsIn(history: readonly Happened[]): string[] {
  const ids = new Set<string>();
  for (const event of history) {
    if (event.e === 'enqueued' || event.e === 'called') ids.add(event.jobId);
    if (event.e === 'asked' && event.named) ids.add(event.op);
  }
  return [...ids];
}
