/**
 * Every state that Redis can be in: what was last acknowledged, the lane that is left, and the
 * counter of tokens. The real in-memory engine runs once for each script in each state.
 */
import type { Acknowledgement } from '../../src/jobs/lanes.ts';
import { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import { Numbers, renamedCommit, type Renaming } from './renaming.ts';
import type { RedisRequest, Vocabulary } from './requests.ts';
import { DATA_SET, KEY, UPDATE } from './worker-plan.ts';
import { WorkerClock } from './worker-clock.ts';

const ALL = 1_000;

interface Contents {
  /** The last one accepted, with the decisions of all; undefined: none. */
  readonly commit: Acknowledgement | undefined;
  readonly lastToken: number;
}

export interface RedisState extends Contents {
  readonly id: number;
  /** What the checks look at. */
  readonly copyToken: number;
  /** JSON; empty: none. */
  readonly copyValue: string;
  readonly waiting: readonly string[];
  readonly numbers: Numbers;
  readonly next: Map<number, Step>;
  /** By what has become of its numbers. */
  readonly renamed: Map<string, RedisState>;
}

interface Step {
  readonly state: RedisState;
  readonly reply: number;
}

export class RedisStates {
  readonly #vocabulary: Vocabulary;
  readonly #jobs: number;
  readonly #damage: (jobs: MemoryJobs) => void;
  readonly #byContents = new Map<string, RedisState>();

  /** @param jobs so many have entered the lane before; their sequences are 1, 2, 3, ... */
  constructor(vocabulary: Vocabulary, jobs: number, damage: (jobs: MemoryJobs) => void) {
    this.#vocabulary = vocabulary;
    this.#jobs = jobs;
    this.#damage = damage;
  }

  /** Tokens are larger. */
  get lastSequence(): number {
    return this.#jobs;
  }

  /** @param earlier what was acknowledged before */
  start(earlier: Acknowledgement | undefined): RedisState {
    return this.#stateOf({ commit: earlier, lastToken: this.#jobs });
  }

  execute(state: RedisState, request: number): Step {
    const known = state.next.get(request);
    if (known !== undefined) return known;
    const server = new Server(this.#jobs, state, this.#damage);
    const reply = this.#vocabulary.idOf(
      'reply',
      server.execute(this.#vocabulary.at('redis', request)),
    );
    const result = { state: this.#stateOf(server.contents()), reply };
    state.next.set(request, result);
    return result;
  }

  renamed(state: RedisState, lastToken: number, to: Renaming): RedisState {
    const key = `${lastToken} ${state.numbers.keyOf(to)}`;
    const known = state.renamed.get(key);
    if (known !== undefined) return known;
    const { commit } = state;
    const renamed = this.#stateOf({ commit: commit && renamedCommit(commit, to), lastToken });
    state.renamed.set(key, renamed);
    return renamed;
  }

  #stateOf(contents: Contents): RedisState {
    const { commit, lastToken } = contents;
    const text = JSON.stringify([lastToken, commit, [...(commit?.decisions ?? [])]]);
    const known = this.#byContents.get(text);
    if (known !== undefined) return known;
    const { copy, head } = new Server(this.#jobs, contents, () => {}).jobs.inspect(KEY, ALL);
    const state: RedisState = {
      ...contents,
      id: this.#byContents.size,
      copyToken: copy.token,
      copyValue: typeof copy.value === 'object' ? copy.value.json : '',
      waiting: head.map(({ jobId }) => jobId),
      numbers: Numbers.in((to) => commit && renamedCommit(commit, to)),
      next: new Map(),
      renamed: new Map(),
    };
    this.#byContents.set(text, state);
    return state;
  }
}

/** The real engine, brought to some contents. */
class Server {
  readonly jobs: MemoryJobs;
  #commit: Acknowledgement | undefined;
  #lastToken: number;

  constructor(jobs: number, { commit, lastToken }: Contents, damage: (jobs: MemoryJobs) => void) {
    this.jobs = new MemoryJobs(new WorkerClock(), DATA_SET);
    for (let job = 1; job <= jobs; job++) {
      this.jobs.add({ id: String(job), name: UPDATE, data: JSON.stringify({ job }), lane: KEY });
    }
    // All that its predecessors have decided is gone from the lane, too.
    if (commit !== undefined) this.jobs.overwriteCopy({ ...commit, sequences: undefined });
    for (let token = jobs; token < lastToken; token++) this.jobs.drawToken();
    this.#commit = commit;
    this.#lastToken = lastToken;
    damage(this.jobs);
  }

  execute(request: RedisRequest): unknown {
    switch (request.script) {
      case 'take': {
        const taken = this.jobs.take(request.request);
        this.#lastToken = taken.token;
        return taken;
      }
      case 'acknowledge':
        return this.#acknowledge(request.commit);
      case 'locate':
        return this.jobs.locate(request.key, request.jobId);
      case 'deliver':
        return { outcome: this.jobs.get(request.jobId)?.outcome ?? '' };
      case 'drawToken':
        this.#lastToken = this.jobs.drawToken();
        return this.#lastToken;
    }
  }

  contents(): Contents {
    return { commit: this.#commit, lastToken: this.#lastToken };
  }

  #acknowledge(commit: Acknowledgement): unknown {
    const before = this.jobs.inspect(KEY, 0).copy.token;
    const answer = this.jobs.acknowledge(commit);
    if (answer.accepted && before !== commit.token) {
      const decisions = new Map([...(this.#commit?.decisions ?? []), ...commit.decisions]);
      this.#commit = { ...commit, decisions };
    }
    return answer;
  }
}
