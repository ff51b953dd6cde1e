/**
 * Makes a Redis refuse commands for a while, each time by its own rules: what it answers then, in which
 * order it looks, and which part of a script it lets pass, is Redis' and not ours.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { tell } from './text-client.ts';

/** Whatever it is at: what comes is an answer. */
const ANSWER = /\r\n$/;
/** A server that runs a script for longer than this answers others with BUSY. */
const BUSY_AFTER_MS = 1;
/** More than there are. */
const REPLICAS_WANTED = 9;
/** Nobody listens there: a replica of this has lost its primary, and keeps what it has. */
const NO_PRIMARY = 'REPLICAOF 127.0.0.1 1';

interface Refusal {
  readonly begin: readonly string[];
  readonly end: readonly string[];
}

const REFUSALS = {
  'refuse NOREPLICAS': {
    begin: [`CONFIG SET min-replicas-to-write ${REPLICAS_WANTED}`],
    end: ['CONFIG SET min-replicas-to-write 0'],
  },
  'refuse READONLY': { begin: [NO_PRIMARY], end: ['REPLICAOF NO ONE'] },
  'refuse MASTERDOWN': {
    begin: ['CONFIG SET replica-serve-stale-data no', NO_PRIMARY],
    end: ['REPLICAOF NO ONE', 'CONFIG SET replica-serve-stale-data yes'],
  },
  'refuse OOM': { begin: ['CONFIG SET maxmemory 1'], end: ['CONFIG SET maxmemory 0'] },
  // A snapshot cannot be written (below), which matters only to a server that is told to make some.
  'refuse MISCONF': {
    begin: ['CONFIG SET save "3600 1000000"', 'BGSAVE'],
    end: ['CONFIG SET save ""'],
  },
} as const satisfies Record<string, Refusal>;

export type RefusalKind = keyof typeof REFUSALS | 'refuse BUSY';

/** What must be so before the faults begin. */
export async function prepareRefusals(port: number): Promise<void> {
  const config = await tell(port, 'CONFIG GET dir', /\r\n\/\S*\r\n$/);
  const folder = config.trimEnd().split('\r\n').at(-1) as string;
  // A folder where its snapshot should go: each BGSAVE fails.
  mkdirSync(join(folder, 'dump.rdb'), { recursive: true });
}

/** Resolves when it is over. A server that has died meanwhile has forgotten its settings by itself. */
export async function refuse(
  port: number,
  kind: RefusalKind,
  ms: number,
  wait: (ms: number) => Promise<unknown>,
): Promise<void> {
  if (kind === 'refuse BUSY') return occupy(port, ms);
  const { begin, end } = REFUSALS[kind];
  for (const command of begin) await tell(port, command, ANSWER);
  await wait(ms);
  for (const command of end) await tell(port, command, ANSWER);
}

/** A script that takes as long. */
async function occupy(port: number, ms: number): Promise<void> {
  await tell(port, `CONFIG SET busy-reply-threshold ${BUSY_AFTER_MS}`, ANSWER);
  const clock =
    "local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end";
  const script = `${clock} local till = now() + ${Math.round(ms * 1_000)} while now() < till do end`;
  await tell(port, `EVAL "${script}" 0`, ANSWER);
}
