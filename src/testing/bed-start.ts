/** The values with which a test bed begins: given ones, or those of a recording up to a place in it. */
import { readFileSync } from 'node:fs';
import { CELL_FLAGS, encodeEnvelope, NONE_NAMED } from '../cells/envelope.ts';
import { messageOf, TorilError } from '../errors.ts';
import { valueHash } from '../history/history.ts';
import { CommitLines } from '../history/recording/joint-lines.ts';
import { RecordingReader } from '../history/recording/reader.ts';
import { foldJoint } from '../history/replay/joint/fold-joint.ts';
import { KeyReplay } from '../history/replay/keys/key-replay.ts';
import { jsonTextOf } from '../updates/values/json-value.ts';
import type { UpdateRegistry } from '../updates/update-registry.ts';
import { checkKey } from '../key.ts';
import { cellName } from '../memcached/item-names.ts';
import type { BedJobs } from './journal/bed-jobs.ts';
import type { BedStore } from './journal/bed-store.ts';

/** A file's path, or its lines with their newlines. */
export type RecordingSource = string | Iterable<string | Buffer>;

export interface BedStart {
  readonly values?: Readonly<Record<string, unknown>>;
  readonly recording?: RecordingSource;
  readonly upTo?: string | number;
}

/**
 * JSON by key.
 * @throws TorilError INVALID_OPTIONS, INVALID_KEY, UPDATE_NOT_JSON, BAD_FILE, RECORDING_*
 */
export function startValues(start: BedStart, registry: UpdateRegistry): Map<string, string> {
  const { values = {}, recording, upTo } = start;
  if (recording === undefined && upTo !== undefined) refuse('upTo is of use with recording only');
  const json = new Map(recording === undefined ? [] : recorded(recording, upTo, registry, values));
  for (const [key, value] of Object.entries(values)) {
    checkKey(key);
    json.set(
      key,
      jsonTextOf(value, (problem) => notJson(key, problem)),
    );
  }
  return json;
}

function notJson(key: string, problem: string): TorilError {
  const what = `the test bed's value of "${key}" is what JSON cannot hold: ${problem}.`;
  return new TorilError('UPDATE_NOT_JSON', what);
}

function recorded(
  recording: RecordingSource,
  upTo: string | number | undefined,
  registry: UpdateRegistry,
  given: object,
): [string, string][] {
  const reader = new RecordingReader(typeof recording === 'string' ? recording : 'the recording');
  const keys = new Map<string, KeyReplay>();
  const keyOf = (key: string): KeyReplay => {
    const known = keys.get(key) ?? new KeyReplay(registry, new Set());
    keys.set(key, known);
    return known;
  };
  const lines = new CommitLines({
    single: (commit, at) => keyOf(commit.key).next(commit, at),
    joint: (joint) => {
      const its = joint.parts.map(({ key }) => keyOf(key));
      return foldJoint(joint, its, registry);
    },
  });
  let isThere = upTo === undefined;
  let line = 1;
  reading: for (const piece of piecesOf(recording)) {
    for (const commit of reader.read(piece)) {
      line += 1;
      if (lines.next(commit, line) !== undefined) {
        refuse(
          `the updates of "${commit.key}" are asynchronous, and a recording is folded at once`,
        );
      }
      isThere ||= upTo === line || commit.jobs.some(({ id }) => id === upTo);
      if (upTo !== undefined && isThere && lines.isBetween) break reading;
    }
  }
  if (!isThere) refuse(`the recording has no job or line ${JSON.stringify(upTo)}`);
  if (upTo === undefined) reader.end();
  return [...keys].flatMap(([key, { last, difference }]): [string, string][] => {
    if (Object.hasOwn(given, key)) return [];
    if (last !== undefined) return last.json === undefined ? [] : [[key, last.json]];
    const why =
      difference === undefined
        ? 'the recording does not tell its value there'
        : `the updates do not repeat line ${difference.line}`;
    return refuse(`"${key}" cannot begin with the recording: ${why}. Give it in values`);
  });
}

function piecesOf(recording: RecordingSource): Iterable<string | Buffer> {
  if (typeof recording !== 'string') return recording;
  try {
    return [readFileSync(recording)];
  } catch (cause) {
    throw new TorilError('BAD_FILE', `${recording} cannot be read: ${messageOf(cause)}.`, {
      cause,
    });
  }
}

export interface BedGround {
  readonly jobs: BedJobs;
  readonly store: BedStore;
  /** The queue's qualified name. */
  readonly queue: string;
  readonly durableCopies: boolean;
}

/** As if a commit without jobs had adopted the value. */
export function plant(key: string, json: string, ground: BedGround): void {
  const { jobs, store, queue, durableCopies } = ground;
  const token = jobs.drawToken();
  const dataSet = jobs.dataSet().id;
  const common = { token, watermark: token, base: 0, dataSet, decisions: NONE_NAMED, expireMs: 0 };
  store.know(key);
  const value = encodeEnvelope({ ...common, valueJson: json, queue, origin: 'adopted' });
  store.add(cellName(key), { value, flags: CELL_FLAGS, ttlSeconds: 0 });
  jobs.acknowledge({
    ...common,
    key,
    value: durableCopies ? { json } : 'not-kept',
    decided: 0,
    paceMs: 0,
    history: {
      origin: { adopted: json },
      hash: valueHash(json),
      value: { json },
      attempts: new Map(),
      lengthMax: Number.MAX_SAFE_INTEGER,
      ageMs: 0,
    },
  });
}

function refuse(what: string): never {
  throw new TorilError('INVALID_OPTIONS', `createTestBed: ${what}.`);
}
