/** What the lanes' scripts are told, and what they answer, in the contract's terms. */
import {
  type Acknowledgement,
  COPY_GRACE_MS,
  type Completable,
  type LaneState,
  type Taken,
  type TakeRequest,
  TOMBSTONE_MS,
} from '../lanes.ts';
import type { Copy, LaneEntry, LaneJob } from '../lane.ts';
import type { JointHead, OtherKey } from '../joint-lanes.ts';
import type { DataSet } from '../../redis/data-set.ts';
import type { AcknowledgeArguments } from './scripts/acknowledge.ts';
import { noteArguments } from './scripts/history.ts';
import type { InspectReply } from './scripts/inspect.ts';
import { BEHIND_MARK } from './scripts/joint/behind.ts';
import type { JointReply, OtherKeyReply } from './scripts/joint/head.ts';
import type { Packed, Packing, Unpacking } from './scripts/packing.ts';
import type { EntryReply, TakeArguments, TakeReply, TakeReplyRest } from './scripts/take.ts';

const NONE: readonly never[] = [];
/** More jobs than any lane has. */
const ALL: number = Number.MAX_SAFE_INTEGER;

export function takeArguments(request: TakeRequest): TakeArguments {
  const { key, cell, jobsMax, dataMax, arrivals, traces, runJobsMax } = request;
  const token = cell === undefined ? '' : String(cell.token);
  const base = cell === undefined ? '' : String(cell.base);
  const last = String(jobsMax - 1);
  const always = [key, token, base, last, dataMax, arrivals] as const;
  if (runJobsMax !== undefined) return [...always, traces === true, runJobsMax];
  return traces === true ? [...always, true] : [...always];
}

/** What a call tells of all its keys. */
export type TakenTogether = Pick<Taken, 'restricted' | 'dataSet'>;

export function takenOf(
  lane: TakeReply,
  { restricted, dataSet }: TakenTogether,
  reply: Unpacking<unknown>,
): Taken {
  const [token, copyToken, watermark, value, cascadeTo, since, listed, rest] = lane;
  const entries = Array.isArray(listed) ? listed.map((entry) => entryOf(entry, reply)) : NONE;
  const more: TakeReplyRest = rest ?? [entries.length, 0, 0, {}, 0];
  const [length, headDueInMs, expiresInMs, outcomes, gone, joint] = more;
  const decided = new Map<string, string>();
  for (const jobId in outcomes) decided.set(jobId, reply.text(outcomes[jobId] as Packed));
  return {
    token: Number(token),
    copy: copyOf(copyToken, watermark, reply.text(value), cascadeTo),
    entries,
    gone: gone === 0 ? NONE : gone,
    length,
    decided,
    headDueInMs,
    restricted,
    sinceCheckpoint: Number(since),
    expiresInMs,
    dataSet,
    ...(joint !== undefined && { joint: jointOf(joint, reply) }),
  };
}

function jointOf(joint: JointReply, reply: Unpacking<unknown>): JointHead {
  const [ready, blockedBy, missingIn, lost, others, isInHand, stands] = joint;
  return {
    ready,
    isInHand: isInHand === 1,
    blockedBy: listOf(blockedBy),
    stands: stands === 1,
    missingIn: listOf(missingIn),
    lost: lost === 1,
    others: new Map(listOf(others).map((other) => otherKeyOf(other, reply))),
  };
}

function otherKeyOf(other: OtherKeyReply, reply: Unpacking<unknown>): [string, OtherKey] {
  const [key, token, watermark, value, cascadeTo, expiresInMs, lost] = other;
  const copy = copyOf(token, watermark, reply.text(value), cascadeTo);
  return [key, { copy, expiresInMs, lost: lost === 1 }];
}

/** Lua does not tell an empty list from an empty object. */
function listOf<T>(told: readonly T[] | Readonly<Record<string, never>>): readonly T[] {
  return Array.isArray(told) ? told : NONE;
}

function entryOf(entry: EntryReply, reply: Unpacking<unknown>): LaneEntry {
  const [jobId, sequence, name, data, attempts = '0', stalls = '0', finished = 'no'] = entry;
  const [, , , , , , , , , trace, keys] = entry;
  const told: { -readonly [Fact in keyof LaneEntry]: LaneEntry[Fact] } = {
    jobId,
    name,
    data: reply.text(data),
    sequence: Number(sequence),
    attemptsMade: Number(attempts),
    stalls: Number(stalls),
    finished: finished as LaneEntry['finished'],
    directive: (entry[7] ?? '') as LaneEntry['directive'],
    failedReason: reply.text(entry[8] ?? ''),
  };
  if (sequence.startsWith('+')) told.late = true;
  if (trace !== undefined && trace !== 0) told.trace = reply.text(trace);
  if (keys !== undefined) told.keys = keys;
  return told;
}

export function copyOf(token: string, watermark: string, value: string, cascadeTo: string): Copy {
  const isBehind = cascadeTo.endsWith(BEHIND_MARK);
  return {
    token: Number(token),
    watermark: Number(watermark),
    value: decodeValue(value),
    cascadeTo: Number(isBehind ? cascadeTo.slice(0, -BEHIND_MARK.length) : cascadeTo),
    ...(isBehind && { behind: true }),
  };
}

export function laneStateOf(reply: InspectReply, dataSet: DataSet): LaneState {
  const [token, watermark, value, cascadeTo, length, pace, listed, , next] = reply;
  const head: LaneJob[] = [];
  for (let i = 0; i < listed.length; i += 3) {
    const [jobId = '', sequence, keys = ''] = listed.slice(i, i + 3);
    const job = { jobId, sequence: Number(sequence) };
    head.push(keys === '' ? job : { ...job, keys: JSON.parse(keys) as string[] });
  }
  const copy = copyOf(token, watermark, value, cascadeTo);
  return { copy, length, paceMs: Number(pace), head, dataSet, nextToken: Number(next) };
}

function decodeValue(text: string): Copy['value'] {
  switch (text[0]) {
    case '+':
      return { json: text.slice(1) };
    case '0':
      return 'not-kept';
    case '?':
      return 'not-sent';
    default:
      return 'deleted';
  }
}

function encodeValue(value: Acknowledgement['value']): string {
  if (value === 'deleted') return '-';
  return value === 'not-kept' ? '0' : `+${value.json}`;
}

export function acknowledgeArguments(
  commit: Acknowledgement,
  base: string,
  packing: Packing,
): AcknowledgeArguments {
  const { key, dataSet, token, watermark, value, expireMs, decisions, paceMs, history } = commit;
  const { completable, sequences, late } = commit;
  const decided = base === 'any' && sequences === undefined ? ALL : commit.decided;
  const packed = packing.text(encodeValue(value));
  const pace = String(Math.round(paceMs * 1000) / 1000);
  const completed = completable === undefined ? NONE : completableArguments(completable);
  const numbers = [base, String(token), String(watermark)] as const;
  const always = [key, dataSet, ...numbers, decided, packed, pace, completed] as const;
  const isPlain = expireMs === 0 && value !== 'deleted' && decisions.size === 0;
  const isNamed = sequences !== undefined || late !== undefined;
  if (isPlain && history === undefined && !isNamed) return [...always];
  const told: AcknowledgeArguments = [
    ...always,
    expireMs,
    copyExpireMs(commit),
    decisionArguments(decisions, packing),
    history !== undefined && noteArguments(history, packing),
  ];
  if (isNamed) told.push(sequences?.map((sequence) => watermark - sequence) ?? false);
  if (late !== undefined) told.push(lateArguments(late, watermark));
  return told;
}

function completableArguments(jobs: readonly Completable[]): (string | 0 | 1)[] {
  const told: (string | 0 | 1)[] = [];
  for (const { jobId, token, remove } of jobs) told.push(jobId, token, remove ? 1 : 0);
  return told;
}

function lateArguments(late: ReadonlyMap<string, number>, watermark: number): (string | number)[] {
  return Array.from(late).flatMap(([jobId, sequence]) => [jobId, watermark - sequence]);
}

function copyExpireMs({ value, expireMs }: Acknowledgement): number {
  if (value === 'deleted') return TOMBSTONE_MS + COPY_GRACE_MS;
  return expireMs > 0 ? expireMs + COPY_GRACE_MS : 0;
}

function decisionArguments(
  decisions: Acknowledgement['decisions'],
  packing: Packing,
): Record<string, Packed> {
  // A message cut in the middle of a character is no text that Redis could read.
  const packed = (decision: string): Packed => packing.text(decision.toWellFormed());
  return Object.fromEntries([...decisions].map(([jobId, text]) => [jobId, packed(text)]));
}
