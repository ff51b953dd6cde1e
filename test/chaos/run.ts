/** One run: rounds of faults, each with a liveness end, then the audit. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { audit } from './auditor.ts';
import { drain, DRAIN_MAX_MS } from './drain.ts';
import { type EndState, ownPrefix, readEndState } from './end-state.ts';
import type { Violation } from './evidence.ts';
import { Faults } from './faults.ts';
import { figuresOf, type Figures } from './figures.ts';
import { type Happened, readHistory } from './history.ts';
import { keep, type Played, readKept } from './kept.ts';
import { drawSchedule, type FaultKind } from './schedule.ts';
import { KEYS, type LockForm, openSite, type Protocol, QUEUE, type Site } from './site.ts';
import type { TwinName } from './twins.ts';

const ROUND_MS = 60_000;
/** By which the first Redis' clock is ahead of the others', in runs with odd seeds. */
const AHEAD_US = 3_600_000_000;

export interface RunOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Spoken with memcached. */
  readonly protocol: Protocol;
  readonly locks?: LockForm;
  readonly twin?: TwinName | undefined;
  /** Which kinds strike. */
  readonly faults: readonly FaultKind[];
  /** History and logs stay also when all went well. */
  readonly keeps?: boolean;
  /** Told of what happens, for people. */
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly violations: readonly Violation[];
  readonly figures: Figures;
  readonly history: readonly Happened[];
  /** Where history and logs are; undefined: they are gone. */
  readonly artefacts: string | undefined;
}

export async function runChaos(options: RunOptions): Promise<RunResult> {
  const folder = mkdtempSync(join(tmpdir(), 'toril-chaos-'));
  let isKept = false;
  try {
    const { seed, protocol, locks = 'value', twin } = options;
    const site = await openSite({ seed, protocol, locks, folder, twin });
    // By way of its proxy: which of the two servers it is may change.
    const redis = new Redis({
      host: site.network.host,
      port: site.redisProxy.port,
      replyMapping: 'legacy',
      maxRetriesPerRequest: null,
    });
    redis.on('error', () => undefined);
    try {
      const played = await playRounds(site, redis, options);
      const history = readHistory(folder);
      const end = await readEndState(redis, QUEUE, KEYS, jobIdsIn(history));
      keep(folder, played, end);
      const judged = judge(history, played, end);
      isKept = options.keeps === true || judged.violations.length > 0;
      return { ...judged, artefacts: isKept ? folder : undefined };
    } finally {
      redis.disconnect();
      await site.close();
    }
  } finally {
    if (!isKept) rmSync(folder, { recursive: true });
  }
}

/** The audit alone, of a folder that a run has left behind. */
export function auditAgain(folder: string): RunResult {
  const { played, end } = readKept(folder);
  return { ...judge(readHistory(folder), played, end), artefacts: folder };
}

function judge(
  history: readonly Happened[],
  played: Played,
  end: EndState,
): Omit<RunResult, 'artefacts'> {
  const stuck = played.stuck.map((what) => ({ promise: 'P6', key: '', what }));
  const figures = figuresOf(history, played, end);
  return { violations: [...stuck, ...audit(history, end)], figures, history };
}

async function playRounds(site: Site, redis: Redis, options: RunOptions): Promise<Played> {
  const { minutes, seed, say } = options;
  const { missing } = site.network;
  if (missing !== undefined) {
    say(`no network namespaces here (${missing}): this run has no partitions`);
  }
  const totalMs = minutes * 60_000;
  const rounds = Math.max(1, Math.round(totalMs / ROUND_MS));
  const faults = new Faults(site);
  const drains: number[] = [];
  const stuck: string[] = [];
  let strikingMs = 0;
  const members = [
    ...site.workers,
    ...site.producers,
    site.reader,
    site.meddler,
    site.stranger,
    site.operator,
    site.teller,
  ];
  await Promise.all(members.map((member) => member.start()));
  // Every key has a value in Redis before anything is lost.
  await site.producers[0]?.order('touch');
  await drain(redis, QUEUE);
  // As if this server's clock were ahead: whichever takes its place is behind, and would draw numbers again.
  if (seed % 2 === 1) await redis.incrby(`${ownPrefix(QUEUE)}sequence`, AHEAD_US);
  for (let round = 0; round < rounds && stuck.length + site.crashes.length === 0; round++) {
    await Promise.all(site.producers.map((producer) => producer.order('go')));
    strikingMs += await strikeAll(
      faults,
      drawSchedule(seed, round, totalMs / rounds, options.faults),
    );
    const tookMs = await comeToRest(site, redis, stuck);
    drains.push(tookMs);
    const struck = [...faults.counts.values()].reduce((sum, count) => sum + count, 0);
    say(
      `round ${round + 1} of ${rounds}: ${struck} faults so far, drained in ${Math.round(tookMs)} ms`,
    );
  }
  return { drains, stuck: [...site.crashes, ...stuck], faults, strikingMs };
}

/** The liveness end of a round. Resolves with the milliseconds that the drain took. */
async function comeToRest(site: Site, redis: Redis, stuck: string[]): Promise<number> {
  const { producers, reader } = site;
  const inTime = async (what: string, work: Promise<unknown>): Promise<void> => {
    const late = await isLate(work);
    if (late) stuck.push(`${DRAIN_MAX_MS} ms after the last fault ${what}`);
  };
  const rest = Promise.all(producers.map((producer) => producer.order('rest')));
  await inTime('a producer still waits for an answer', rest);
  // So that every key must go on, also one that nobody has asked for since it got stuck.
  const touch = producers[0]?.order('touch') ?? Promise.resolve();
  if (stuck.length === 0) await inTime('jobs cannot be enqueued', touch);
  const { tookMs, left } = await drain(redis, QUEUE);
  if (left !== undefined) stuck.push(`not drained in ${DRAIN_MAX_MS} ms: ${left}`);
  await inTime('a cell cannot be read', reader.order('rest'));
  return tookMs;
}

async function isLate(work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), DRAIN_MAX_MS);
  });
  try {
    return await Promise.race([work.then(() => false), late]);
  } finally {
    clearTimeout(timer);
  }
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
