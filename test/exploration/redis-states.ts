/**
 * Every state that Redis can be in: what was acknowledged, the lanes that are left, and the
 * counter of tokens. The real in-memory engine runs once for each script in each state.
 */
import type { JointCommit } from '../../src/jobs/joint-lanes.ts';
import type { Acknowledgement } from '../../src/jobs/lanes.ts';
import type { Acknowledged } from '../../src/jobs/lane.ts';
import { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import { Numbers, renamedCommit, renamedJoint, type Renaming } from './renaming.ts';
import { jsonOf, type RedisRequest, type Vocabulary } from './requests.ts';
import { DATA_SET, dataOf, KEY, KEYS, UPDATE } from './worker-plan.ts';
import { WorkerClock } from './worker-clock.ts';

const ALL = 1_000;

interface Contents {
  /** The last one accepted, with the decisions of all; undefined: none. */
  readonly commit: Acknowledgement | undefined;
  /** Those of several keys, in order; */
  readonly joint: readonly JointCommit[];
  /** and whose cells are not known to be written: tokens. */
  readonly behind: readonly number[];
  readonly lastToken: number;
}

/** The copy of one key. */
interface KeyCopy {
  readonly token: number;
  /** JSON; empty: none. */
  readonly value: string;
}

/** The lanes in which a job is. */
type LanesOf = (jobId: string) => readonly string[];

export interface RedisState extends Contents {
  readonly id: number;
  /** What the checks look at: by key. */
  readonly copies: readonly KeyCopy[];
  /** By key: the jobs in its lane, in order. */
  readonly lanes: readonly (readonly string[])[];
  /** In any lane. */
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
  readonly #lanesOf: LanesOf;
  readonly #damage: (jobs: MemoryJobs) => void;
  readonly #byContents = new Map<string, RedisState>();

  /** @param jobs so many have entered their lanes before; their sequences are 1, 2, 3, ... */
  constructor(
    vocabulary: Vocabulary,
    jobs: number,
    lanesOf: LanesOf,
    damage: (jobs: MemoryJobs) => void,
  ) {
    this.#vocabulary = vocabulary;
    this.#jobs = jobs;
    this.#lanesOf = lanesOf;
    this.#damage = damage;
  }

  /** Tokens are larger. */
  get lastSequence(): number {
    return this.#jobs;
  }

  /** @param earlier what was acknowledged before */
  start(earlier: Acknowledgement | JointCommit | undefined): RedisState {
    const isJoint = earlier !== undefined && 'keys' in earlier;
    return this.#stateOf({
      commit: isJoint ? undefined : earlier,
      joint: isJoint ? [earlier] : [],
      ...{ behind: [], lastToken: this.#jobs },
    });
  }

  execute(state: RedisState, request: number): Step {
    const known = state.next.get(request);
    if (known !== undefined) return known;
    const server = new Server(this.#jobs, this.#lanesOf, state, this.#damage);
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
    const renamed = this.#stateOf({ ...renamedContents(state, to), lastToken });
    state.renamed.set(key, renamed);
    return renamed;
  }

  #stateOf(contents: Contents): RedisState {
    const { commit, joint, behind, lastToken } = contents;
    const text = jsonOf([lastToken, commit, joint, behind]);
    const known = this.#byContents.get(text);
    if (known !== undefined) return known;
    const { jobs } = new Server(this.#jobs, this.#lanesOf, contents, () => {});
    const inspected = KEYS.map((key) => jobs.inspect(key, ALL));
    const lanes = inspected.map(({ head }) => head.map(({ jobId }) => jobId));
    const state: RedisState = {
      ...contents,
      id: this.#byContents.size,
      copies: inspected.map(({ copy: { token, value } }) => ({
        ...{ token, value: typeof value === 'object' ? value.json : '' },
      })),
      lanes,
      waiting: lanes.flat(),
      numbers: Numbers.in((to) => renamedContents(contents, to)),
      next: new Map(),
      renamed: new Map(),
    };
    this.#byContents.set(text, state);
    return state;
  }
}

function renamedContents(
  { commit, joint, behind }: Contents,
  to: Renaming,
): Omit<Contents, 'lastToken'> {
  return {
    commit: commit && renamedCommit(commit, to),
    joint: joint.map((one) => renamedJoint(one, to)),
    behind: behind.map((token) => to.token(token)),
  };
}

/** The real engine, brought to some contents. */
class Server {
  readonly jobs: MemoryJobs;
  #commit: Acknowledgement | undefined;
  #joint: readonly JointCommit[];
  #behind: readonly number[];
  #lastToken: number;

  constructor(
    jobs: number,
    lanesOf: LanesOf,
    { commit, joint, behind, lastToken }: Contents,
    damage: (jobs: MemoryJobs) => void,
  ) {
    this.jobs = new MemoryJobs(new WorkerClock(), DATA_SET);
    for (let job = 1; job <= jobs; job++) {
      const id = String(job);
      const keys = lanesOf(id);
      const data = JSON.stringify(dataOf(id, keys));
      this.jobs.add({ id, name: UPDATE, data, lane: keys.length === 1 ? KEY : keys });
    }
    // All that its predecessors have decided is gone from the lane, too.
    if (commit !== undefined) this.jobs.overwriteCopy({ ...commit, sequences: undefined });
    for (let token = jobs; token < lastToken; token++) this.jobs.drawToken();
    for (const one of joint) {
      if (!this.jobs.joint.acknowledge(one).accepted)
        throw new Error(`Redis cannot be brought to where it has been: ${jsonOf(one)}`);
      if (!behind.includes(one.token)) this.jobs.joint.settled(one.token);
    }
    this.#commit = commit;
    this.#joint = joint;
    this.#behind = behind;
    this.#lastToken = lastToken;
    damage(this.jobs);
  }

  execute(request: RedisRequest): unknown {
    switch (request.script) {
      case 'take': {
        const taken = this.jobs.take(request.request);
        // One that is drawn for an empty lane names no commit: the next one may as well be the same.
        if (taken.length > 0) this.#lastToken = taken.token;
        return taken;
      }
      case 'acknowledge':
        return this.#acknowledge(request.commit);
      case 'locate':
        return this.jobs.locate(request.key, request.jobId);
      case 'deliver':
        return { outcome: this.jobs.get(request.jobId)?.outcome ?? '' };
      case 'acknowledgeJoint':
        return this.#acknowledgeJoint(request.commit);
      case 'settled':
        this.#behind = this.#behind.filter((token) => token !== request.token);
        return this.jobs.joint.settled(request.token);
      case 'behind':
        return this.jobs.joint.behind(request.token);
      case 'drawToken':
        this.#lastToken = this.jobs.drawToken();
        return this.#lastToken;
    }
  }

  contents(): Contents {
    return {
      ...{ commit: this.#commit, joint: this.#joint },
      ...{ behind: this.#behind, lastToken: this.#lastToken },
    };
  }

  #acknowledgeJoint(commit: JointCommit): Acknowledged {
    const [first] = commit.keys;
    const before = this.jobs.inspect(first?.key ?? KEY, 0).copy.token;
    const answer = this.jobs.joint.acknowledge(commit);
    if (answer.accepted && before !== commit.token) {
      this.#joint = [...this.#joint, commit];
      this.#behind = [...this.#behind, commit.token];
    }
    return answer;
  }

  #acknowledge(commit: Acknowledgement): unknown {
    if (this.#joint.length > 0)
      throw new Error('a joint commit is acknowledged at one of its keys alone');
    const before = this.jobs.inspect(KEY, 0).copy.token;
    const answer = this.jobs.acknowledge(commit);
    if (answer.accepted && before !== commit.token) {
      const decisions = new Map([...(this.#commit?.decisions ?? []), ...commit.decisions]);
      this.#commit = { ...commit, decisions };
    }
    return answer;
  }
}
