/**
 * What a slice needs besides what it was asked for: a joint commit can be folded only with the values of all its keys. They
 * follow from the last commit behind which they are known; where that one was of several keys, from theirs in turn.
 */
import { NO_VALUE_HASH } from '../history.ts';
import type { JointLines } from '../recording/joint-lines.ts';
import type { RecordedCommit } from '../recording/recording.ts';

/** From where a key's value follows. */
interface Source {
  /** Behind this line it is recorded. */
  readonly value: number | undefined;
  /** These are folded from there on. */
  readonly lines: number[];
  /** Values with which a joint commit among them began. */
  readonly inputs: readonly Source[];
  /** So many of its lines are marked already; -1: it was never asked for. */
  marked: number;
}

export class Sources {
  readonly #keys = new Map<string, Source>();
  /** Lines that are needed as they are, */
  readonly lines: Set<number> = new Set();
  /** and those of which only the value is. */
  readonly values: Set<number> = new Set();

  /** A commit of one key. */
  single(commit: RecordedCommit, line: number): void {
    const { key } = commit;
    if (isKnown(commit)) this.#keys.set(key, sourceOf({ value: line }));
    else if (begins(commit)) this.#keys.set(key, sourceOf({ lines: [line] }));
    else this.#keys.get(key)?.lines.push(line);
  }

  joint({ parts, line }: JointLines, isWanted: boolean): void {
    const inputs = parts.flatMap((part) => (begins(part) ? [] : (this.#keys.get(part.key) ?? [])));
    const lines = parts.map((_, at) => line + at);
    if (isWanted) {
      for (const one of lines) this.lines.add(one);
      for (const input of inputs) this.#mark(input);
    }
    for (const [at, part] of parts.entries()) {
      const value = isKnown(part) ? line + at : undefined;
      const source = value === undefined ? { lines: [...lines], inputs } : { value };
      this.#keys.set(part.key, sourceOf(source));
    }
  }

  #mark(source: Source): void {
    const { value, lines, inputs } = source;
    const isNew = source.marked < 0;
    for (const line of lines.slice(Math.max(0, source.marked))) this.lines.add(line);
    source.marked = lines.length;
    if (!isNew) return;
    if (value !== undefined) this.values.add(value);
    for (const input of inputs) this.#mark(input);
  }
}

/** The value that is recorded behind a commit, as if somebody had set it there. */
export function valueOnly(commit: RecordedCommit): RecordedCommit {
  const { id, key, token, watermark, hash, value } = commit;
  const common = { id, key, token, base: 0, watermark, jobs: [], hash };
  return value === undefined
    ? { ...common, origin: 'nothing' }
    : { ...common, origin: { adopted: value }, value };
}

function sourceOf(source: Partial<Omit<Source, 'marked'>>): Source {
  return { value: undefined, lines: [], inputs: [], ...source, marked: -1 };
}

/** It began with a known value, whatever came before. */
export function begins({ origin }: RecordedCommit): boolean {
  return origin === 'nothing' || typeof origin === 'object';
}

export function isKnown({ value, hash }: RecordedCommit): boolean {
  return value !== undefined || hash === NO_VALUE_HASH;
}
