/** A part of a recording that is a recording itself, and can be replayed. */
import { hash } from 'node:crypto';
import { TorilError } from '../../errors.ts';
import { NO_VALUE_HASH } from '../history.ts';
import { commitsOf, nameOf, type RecordingInput } from '../recording/input.ts';
import { RecordingReader } from '../recording/reader.ts';
import type { RecordedCommit, RecordingHeader } from '../recording/recording.ts';
import { RecordingWriter } from './write-again.ts';

/** What is kept: all that every given one allows. */
export interface SliceOptions {
  readonly keys?: readonly string[] | undefined;
  /** Ids: the commits that have them. */
  readonly jobs?: readonly string[] | undefined;
  /** Commits acknowledged since then, milliseconds since 1970, */
  readonly since?: number | undefined;
  /** and before then. */
  readonly until?: number | undefined;
  /** The share of the keys that is kept, always the same ones. */
  readonly sample?: number | undefined;
}

/**
 * The lines of the slice, without their newlines. Of each key it has the commits that are wanted and those
 * between them, and before them what is needed to begin: from the last one whose value is known.
 * @throws TorilError as `replay`; NOTHING_RECORDED if nothing is left; INVALID_OPTIONS
 */
export async function slice(recording: RecordingInput, options: SliceOptions): Promise<string[]> {
  const { sample = 1 } = options;
  if (!(sample > 0 && sample <= 1)) {
    throw new TorilError('INVALID_OPTIONS', `sample must be above 0 and at most 1, not ${sample}.`);
  }
  const reader = new RecordingReader(nameOf(recording));
  const keys = new Map<string, KeySlice>();
  const isWanted = wanting(options);
  await commitsOf(recording, reader, (commit) => {
    const { key } = commit;
    if (options.keys?.includes(key) === false || !isSampled(key, sample)) return;
    let kept = keys.get(key);
    if (kept === undefined) keys.set(key, (kept = new KeySlice()));
    kept.next(commit, reader.commits, isWanted(commit));
  });
  const kept = [...keys.values()].flatMap((each) => each.commits);
  if (kept.length === 0) {
    throw new TorilError('NOTHING_RECORDED', `${nameOf(recording)} has nothing of that.`);
  }
  const writer = new RecordingWriter();
  return [
    writer.header(reader.header as RecordingHeader),
    ...kept.toSorted((a, b) => a.at - b.at).map(({ commit }) => writer.commit(commit)),
    writer.end(reader.end()),
  ];
}

/** Of a key, always the same answer. */
export function isSampled(key: string, share: number): boolean {
  if (share === 1) return true;
  return Number.parseInt(hash('sha1', key, 'hex').slice(0, 8), 16) / 2 ** 32 < share;
}

interface Placed {
  readonly commit: RecordedCommit;
  /** Its place in the recording. */
  readonly at: number;
}

class KeySlice {
  readonly commits: Placed[] = [];
  /** What comes before the next wanted one: since a known value, or since the last wanted one. */
  #pending: Placed[] = [];

  next(commit: RecordedCommit, at: number, isWanted: boolean): void {
    if (this.commits.length === 0 && begins(commit)) this.#pending = [];
    this.#pending.push({ commit, at });
    if (isWanted) {
      this.commits.push(...this.#pending);
      this.#pending = [];
    } else if (this.commits.length === 0 && isKnown(commit)) {
      this.#pending = [{ commit, at }]; // it is folded from behind this one
    }
  }
}

/** It began with a known value, whatever came before. */
function begins({ origin }: RecordedCommit): boolean {
  return origin === 'nothing' || typeof origin === 'object';
}

function isKnown({ value, hash: hashed }: RecordedCommit): boolean {
  return value !== undefined || hashed === NO_VALUE_HASH;
}

function wanting({ jobs, since, until }: SliceOptions): (commit: RecordedCommit) => boolean {
  const ids = jobs && new Set(jobs);
  return ({ id, jobs: own }) => {
    const ms = Number(id.split('-')[0]);
    if (since !== undefined && ms < since) return false;
    if (until !== undefined && ms >= until) return false;
    return ids === undefined || own.some((job) => ids.has(job.id));
  };
}
