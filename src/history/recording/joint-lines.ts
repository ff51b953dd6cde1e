/** The lines of a recording as commits: those of a joint commit, one for each of its keys, are taken together. */
import { andThen } from '../../base/promises.ts';
import type { RecordedCommit, RecordedJob } from './recording.ts';

/** The lines of one commit of several keys in a recording. */
export interface JointLines {
  /** In order: one for each key, each with those of the jobs that are its own. */
  readonly parts: readonly RecordedCommit[];
  /** All of them, in order. */
  readonly jobs: readonly RecordedJob[];
  /** Of the first part, counted from 1; the others come behind it. */
  readonly line: number;
  /** False: lines of it are missing, so that nobody can fold it. */
  readonly isWhole: boolean;
  /** Of all its lines. */
  readonly characters: number;
}

export interface TakeCommits {
  /** A promise is waited for before the next one. */
  single(commit: RecordedCommit, line: number, characters: number): void | Promise<void>;
  joint(joint: JointLines): void | Promise<void>;
}

interface OpenCommit {
  readonly head: RecordedCommit & { readonly keys: readonly string[] };
  readonly parts: RecordedCommit[];
  readonly line: number;
  characters: number;
}

export class CommitLines {
  readonly #take: TakeCommits;
  /** Lines of it are still to come. */
  #open: OpenCommit | undefined;

  constructor(take: TakeCommits) {
    this.#take = take;
  }

  /** @param characters of the line */
  next(commit: RecordedCommit, line: number, characters = 0): void | Promise<void> {
    if (this.#open === undefined && !isJoint(commit)) {
      return this.#take.single(commit, line, characters);
    }
    return this.#next(commit, line, characters);
  }

  /** No commit has been begun whose other lines are still to come. */
  get isBetween(): boolean {
    return this.#open === undefined;
  }

  /** Behind the last line. */
  end(): void | Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    return open && this.#take.joint(jointOf(open, false));
  }

  #next(commit: RecordedCommit, line: number, characters: number): void | Promise<void> {
    const isCutOff = this.#open !== undefined && !isNextOf(this.#open, commit);
    return isCutOff
      ? andThen(this.end(), () => this.next(commit, line, characters))
      : this.#add(commit, line, characters);
  }

  #add(commit: RecordedCommit, line: number, characters: number): void | Promise<void> {
    const { keys } = commit;
    if (keys !== undefined) {
      this.#open = { head: { ...commit, keys }, parts: [], line, characters: 0 };
    } else if (this.#open === undefined) {
      return this.#take.joint({ parts: [commit], jobs: [], line, isWhole: false, characters });
    }
    const open = this.#open as OpenCommit;
    open.parts.push(commit);
    open.characters += characters;
    if (open.parts.length < open.head.keys.length) return undefined;
    this.#open = undefined;
    return this.#take.joint(jointOf(open, true));
  }
}

/** It is a line of a joint commit. */
function isJoint({ keys, head }: RecordedCommit): boolean {
  return keys !== undefined || head !== undefined;
}

/** Its lines are those of its keys, in their order: any other one shows that some are missing. */
function isNextOf({ head, parts }: OpenCommit, commit: RecordedCommit): boolean {
  return commit.head === head.id && commit.key === head.keys[parts.length];
}

/** The same commit with other parts and jobs, as many as it had. */
export function jointWith(
  joint: JointLines,
  parts: readonly RecordedCommit[],
  jobs: readonly RecordedJob[],
): JointLines {
  const own = ({ key }: RecordedCommit): readonly RecordedJob[] =>
    jobs.filter(({ keys }) => keys?.includes(key) === true);
  return { ...joint, parts: parts.map((part) => ({ ...part, jobs: own(part) })), jobs };
}

/** As they stand in the file: all jobs are on the first line. */
export function asWritten({ parts, jobs }: JointLines): RecordedCommit[] {
  return parts.map((part) => ({ ...part, jobs: part.keys === undefined ? [] : jobs }));
}

function jointOf({ head, parts, line, characters }: OpenCommit, isWhole: boolean): JointLines {
  const { jobs } = head;
  return jointWith({ parts, jobs, line, isWhole, characters }, parts, jobs);
}
