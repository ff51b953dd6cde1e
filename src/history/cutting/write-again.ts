/** Commits of a recording as a recording of their own: with their own header, chain and end. */
import {
  ChainWriter,
  type RecordedCommit,
  type RecordingEnd,
  type RecordingHeader,
} from '../recording/recording.ts';

export class RecordingWriter {
  readonly #writer = new ChainWriter();
  readonly #keys = new Set<string>();
  #commits = 0;
  #jobs = 0;

  /** The header's line, without its newline, as all of them. */
  header(header: RecordingHeader): string {
    return this.#writer.line({ recording: header });
  }

  commit(commit: RecordedCommit): string {
    this.#commits += 1;
    this.#jobs += commit.jobs.length;
    this.#keys.add(commit.key);
    return this.#writer.line({ commit });
  }

  /** What is missing of the whole may be missing of a part: nobody knows behind which of its lines. */
  end({ results, torn }: Pick<RecordingEnd, 'results' | 'torn'>): string {
    return this.#writer.line({
      end: {
        ...{ commits: this.#commits, jobs: this.#jobs, keys: this.#keys.size },
        ...(results === true && { results }),
        ...(torn !== undefined && { torn: [1] }),
      },
    });
  }
}
