/** Every state that Redis can be in: the lane, the copy, the outcomes and the counter. */
import type { Acknowledgement } from '../../src/jobs/lanes.ts';
import { MemoryJobs } from '../../src/jobs/memory-jobs.ts';
import type { RedisRequest, Vocabulary } from './requests.ts';
import { KEY, UPDATE } from './worker.ts';
import { WorkerClock } from './worker-clock.ts';

const ALL = 1_000;

export interface RedisState {
  readonly id: number;
  readonly parent: RedisState | undefined;
  readonly step: number;
  /** What the checks look at. */
  readonly copyToken: number;
  /** JSON; empty: none. */
  readonly copyValue: string;
  readonly waiting: readonly string[];
  readonly next: Map<number, { readonly state: RedisState; readonly reply: number }>;
}

export class RedisStates {
  readonly #vocabulary: Vocabulary;
  readonly #jobs: number;
  readonly #earlier: Acknowledgement | undefined;
  readonly #damage: (jobs: MemoryJobs) => void;
  readonly #byContents = new Map<string, RedisState>();
  readonly #states: RedisState[] = [];

  /**
   * @param jobs so many have entered the lane before
   * @param earlier what was acknowledged before
   */
  constructor(
    vocabulary: Vocabulary,
    jobs: number,
    earlier: Acknowledgement | undefined,
    damage: (jobs: MemoryJobs) => void,
  ) {
    this.#vocabulary = vocabulary;
    this.#jobs = jobs;
    this.#earlier = earlier;
    this.#damage = damage;
  }

  get size(): number {
    return this.#states.length;
  }

  start(): RedisState {
    return this.#stateOf(this.#server(), undefined, -1);
  }

  at(id: number): RedisState {
    return this.#states[id] as RedisState;
  }

  execute(
    state: RedisState,
    request: number,
  ): { readonly state: RedisState; readonly reply: number } {
    const known = state.next.get(request);
    if (known !== undefined) return known;
    const server = this.#server();
    for (const earlier of historyOf(state)) server.execute(this.#vocabulary.redisAt(earlier));
    const reply = this.#vocabulary.reply(server.execute(this.#vocabulary.redisAt(request)));
    const result = { state: this.#stateOf(server, state, request), reply };
    state.next.set(request, result);
    return result;
  }

  #server(): Server {
    return new Server(this.#jobs, this.#earlier, this.#damage);
  }

  #stateOf(server: Server, parent: RedisState | undefined, step: number): RedisState {
    const contents = server.contents();
    const known = this.#byContents.get(contents);
    if (known !== undefined) return known;
    const { copy, head } = server.jobs.inspect(KEY, ALL);
    const state: RedisState = {
      id: this.#states.length,
      parent,
      step,
      copyToken: copy.token,
      copyValue: typeof copy.value === 'object' ? copy.value.json : '',
      waiting: head.map(({ jobId }) => jobId),
      next: new Map(),
    };
    this.#byContents.set(contents, state);
    this.#states.push(state);
    return state;
  }
}

function historyOf(state: RedisState): number[] {
  const steps: number[] = [];
  for (let at = state; at.parent !== undefined; at = at.parent) steps.push(at.step);
  return steps.reverse();
}

class Server {
  readonly jobs: MemoryJobs;
  /** The last token drawn, which the engine does not show. */
  #lastToken = 0;

  constructor(
    jobs: number,
    earlier: Acknowledgement | undefined,
    damage: (jobs: MemoryJobs) => void,
  ) {
    this.jobs = new MemoryJobs(new WorkerClock());
    for (let job = 1; job <= jobs; job++) {
      this.jobs.add({ id: String(job), name: UPDATE, data: JSON.stringify({ job }), lane: KEY });
    }
    if (earlier !== undefined) this.jobs.acknowledge(earlier);
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
        return this.jobs.acknowledge(request.commit);
      case 'locate':
        return this.jobs.locate(request.key, request.jobId);
      case 'drawToken':
        this.#lastToken = this.jobs.drawToken();
        return this.#lastToken;
    }
  }

  contents(): string {
    const { copy, head } = this.jobs.inspect(KEY, ALL);
    const jobs = [...this.jobs.all()].map(({ id, outcome, directive }) => [id, outcome, directive]);
    return JSON.stringify([this.#lastToken, copy, head, jobs]);
  }
}
