/** What a commit says for the history, and when its value is written down in full. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  historyNote,
  type HistorySettings,
  type NotedCommit,
  valueHash,
} from '../../../src/history/history.ts';
import { WORKER_DEFAULTS, checkedWorkerOptions } from '../../../src/options.ts';

const SETTINGS: HistorySettings = { ...WORKER_DEFAULTS, history: 'on', historyValueMax: 10 };
const LONG = JSON.stringify('x'.repeat(100));
const COMMIT: NotedCommit = {
  origin: 'base',
  valueJson: LONG,
  updates: ['deposit'],
  attempts: new Map(),
  sinceCheckpoint: 0,
  isStrict: false,
};

const valueOf = (commit: Partial<NotedCommit>, settings: Partial<HistorySettings> = {}): unknown =>
  historyNote({ ...COMMIT, ...commit }, { ...SETTINGS, ...settings })?.value;
const isRecorded = (commit: Partial<NotedCommit>, history: HistorySettings['history']): boolean =>
  historyNote({ ...COMMIT, ...commit }, { ...SETTINGS, history }) !== undefined;

test('a hash is that of the JSON text', () => {
  const expected = createHash('sha256').update('{"a":"é"}').digest('hex').slice(0, 32);
  expect(valueHash('{"a":"é"}')).toBe(expected);
  expect(valueHash(undefined)).toBe('-');
});

describe('a commit is recorded', () => {
  test('always, never, or if it has a job of an update that is named', () => {
    expect(isRecorded({}, 'on')).toBe(true);
    expect(isRecorded({}, 'off')).toBe(false);
    expect(isRecorded({}, ['interest'])).toBe(false);
    expect(isRecorded({ updates: ['deposit', 'interest'] }, ['interest'])).toBe(true);
  });

  test('without jobs, where the one before was', () => {
    expect(isRecorded({ updates: [], sinceCheckpoint: 3 }, ['interest'])).toBe(true);
    expect(isRecorded({ updates: [], sinceCheckpoint: -1 }, ['interest'])).toBe(false);
  });
});

describe('a value is written down', () => {
  test('if it is short', () => {
    expect(valueOf({ valueJson: '12' })).toBe('copy');
    expect(valueOf({})).toBeUndefined();
    expect(valueOf({ valueJson: '12' }, { historyValueMax: 1 })).toBeUndefined();
  });

  test('every so often', () => {
    const every = { checkpointEvery: 3 };
    expect(valueOf({ sinceCheckpoint: 0 }, every)).toBeUndefined();
    expect(valueOf({ sinceCheckpoint: 1 }, every)).toBeUndefined();
    expect(valueOf({ sinceCheckpoint: 2 }, every)).toBe('copy');
    expect(valueOf({ sinceCheckpoint: 9 }, every)).toBe('copy');
  });

  test('if a replay could not go on otherwise', () => {
    expect(valueOf({ sinceCheckpoint: -1 })).toBe('copy');
    expect(valueOf({ sinceCheckpoint: -1, origin: 'unknown' })).toBe('copy');
    expect(valueOf({ sinceCheckpoint: -1, origin: 'nothing' })).toBeUndefined();
    expect(valueOf({ sinceCheckpoint: -1, origin: { adopted: '1' } })).toBeUndefined();
  });

  test('always, if the commit itself cannot be folded again', () => {
    expect(valueOf({ isStrict: true })).toBe('copy');
    expect(valueOf({ isStrict: true, origin: 'nothing' })).toBe('copy');
    expect(valueOf({ origin: 'unknown' })).toBe('copy');
    expect(valueOf({ isStrict: true, valueJson: undefined })).toBeUndefined();
  });

  test('not if there is none: the hash says so', () => {
    expect(valueOf({ valueJson: undefined, sinceCheckpoint: -1 })).toBeUndefined();
  });

  test('by sending it along, if there is no durable copy that has it', () => {
    expect(valueOf({ sinceCheckpoint: -1 }, { durableCopies: false })).toEqual({ json: LONG });
  });
});

test.each([
  [{ history: 'all' }, 'history must be "off", "on" or a list'],
  [{ history: [] }, 'history must be'],
  [{ history: [1] }, 'history must be'],
  [{ checkpointEvery: 0 }, 'checkpointEvery must be a whole number from 1'],
  [{ historyLengthMax: 0 }, 'historyLengthMax must be'],
  [{ historyAgeMs: -1 }, 'historyAgeMs must be'],
  [{ historyValueMax: 1.5 }, 'historyValueMax must be'],
])('the options %j are refused', (options, message) => {
  expect(() => checkedWorkerOptions(options as never, 1000)).toThrow(message);
});
