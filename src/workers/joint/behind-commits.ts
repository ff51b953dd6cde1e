/**
 * Joint commits whose cells are not known to be written. Whoever is told an outcome of one waits until they are: completed
 * implies that each cell is written, superseded, or lost by memcached. If its driver has died, a visit of each key puts the
 * cell right. A sweep sees to commits of which nobody waits for an outcome any more.
 */
import { setMaxListeners } from 'node:events';
import { type Clock, pause } from '../../base/clock.ts';
import { ForgetfulMap } from '../../base/forgetful-map.ts';
import type { Random } from '../../base/random.ts';
import { decodeItem } from '../../cells/envelope.ts';
import { TorilError } from '../../errors.ts';
import type { BehindCommit } from '../../jobs/joint-lanes.ts';
import type { Lanes } from '../../jobs/lanes.ts';
import { cellName } from '../../memcached/item-names.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import type { TorilWorkerOptions } from '../../options.ts';
import type { EventReporter } from '../worker-events.ts';

/** Milliseconds between two looks, the first and the longest: the driver is probably about to say so itself. */
const LOOK_MS = 10;
const LOOK_MS_MAX = 200;
/** Commits of which it is remembered that they are not behind. */
const SETTLED_MAX = 1_000;

export interface BehindContext {
  readonly lanes: Pick<Lanes, 'behind' | 'settled'>;
  readonly servers: MemcachedServers;
  readonly clock: Clock;
  readonly random: Random;
  readonly options: Pick<TorilWorkerOptions, 'blockedMs' | 'leaseMs'>;
  readonly report: EventReporter;
}

export class BehindCommits {
  readonly #context: BehindContext;
  readonly #bringUp: (key: string) => Promise<boolean>;
  readonly #closing = new AbortController();
  readonly #settled = new ForgetfulMap<number, Promise<boolean>>(SETTLED_MAX);

  /** @param bringUp has a key's cell brought up to its copy. True: what is missing behind that is to be missing */
  constructor(context: BehindContext, bringUp: (key: string) => Promise<boolean>) {
    this.#context = context;
    this.#bringUp = bringUp;
    setMaxListeners(0, this.#closing.signal); // one for each commit that is waited for
  }

  /**
   * Whether the commit's cells are known to be written. Sees to it, for `blockedMs` at most. Never rejects. A commit
   * decides hundreds of jobs: it is asked about once for all of them, and is not behind again.
   */
  isSettled(token: number): Promise<boolean> {
    const known = this.#settled.get(token);
    if (known !== undefined) return known;
    const asked = this.#isSettled(token);
    this.#settled.set(token, asked);
    void asked.then((isSettled) => isSettled || this.#settled.delete(token));
    return asked;
  }

  async #isSettled(token: number): Promise<boolean> {
    const { clock, lanes } = this.#context;
    try {
      for (let waitMs = LOOK_MS; waitMs < LOOK_MS_MAX; waitMs *= 2) {
        if ((await lanes.behind(token)).length === 0) return true;
        await pause(clock, waitMs, this.#closing.signal);
      }
      const [commit] = await lanes.behind(token);
      return commit === undefined || (await this.settle(commit));
    } catch (thrown) {
      if (!(thrown instanceof TorilError)) throw thrown;
      return false; // a server is out of reach
    }
  }

  /**
   * The same for one that is known to be behind.
   * @param seenTo keys whose cells have been brought up: what is missing there is to be missing
   */
  async settle(commit: BehindCommit, seenTo: Set<string> = new Set()): Promise<boolean> {
    const { clock, options } = this.#context;
    const startedMs = clock.monotonicMs();
    for (let waitMs = LOOK_MS; ; waitMs = Math.min(2 * waitMs, LOOK_MS_MAX)) {
      if (await this.#isWritten(commit, seenTo)) return true;
      if (this.#closing.signal.aborted) return false;
      if (clock.monotonicMs() - startedMs >= options.blockedMs) return false;
      await pause(clock, waitMs, this.#closing.signal);
    }
  }

  async #isWritten({ token, keys }: BehindCommit, seenTo: Set<string>): Promise<boolean> {
    const { lanes, report } = this.#context;
    const cells = await Promise.all(keys.map((key) => this.#cellOf(key, token)));
    const behind = keys.filter(
      (key, at) => cells[at] === 'older' || (cells[at] === 'missing' && !seenTo.has(key)),
    );
    for (const key of behind)
      void this.#bringUp(key).then((isSeenTo) => isSeenTo && seenTo.add(key));
    if (behind.length > 0) return false;
    await lanes.settled(token);
    report('cellsSettled', { key: keys[0] as string, keys, token });
    return true;
  }

  /** Missing: memcached has lost it, or nobody has written it. What is foreign is told by the key's next job. */
  async #cellOf(key: string, token: number): Promise<'written' | 'older' | 'missing'> {
    const server = this.#context.servers.serverFor(key);
    if (server.trouble !== undefined) return 'older';
    const connection = await server.connection();
    const read = await connection.get(cellName(key));
    if (read.kind !== 'done')
      return read.kind === 'refused' && read.reason === 'missing' ? 'missing' : 'older';
    const content = decodeItem(read.value);
    if (content.kind === 'missing') return 'missing'; // strict updates have closed what was missing
    return content.kind === 'envelope' && content.envelope.token < token ? 'older' : 'written';
  }

  /**
   * Looks once per lease, about, until it is closed. A commit that it meets twice has been behind for half a lease at least:
   * its driver is not about to say that it is settled.
   */
  begin(): void {
    void this.#run();
  }

  async #run(): Promise<void> {
    const { clock, random, options, lanes } = this.#context;
    const { signal } = this.#closing;
    let met: ReadonlySet<number> = new Set();
    for (;;) {
      // All workers look: never in step with each other.
      await pause(clock, options.leaseMs * (0.5 + random.fraction()), signal, false);
      if (signal.aborted) return;
      const commits = await lanes.behind().catch(() => []);
      const left = commits.filter(({ token }) => met.has(token));
      met = new Set(commits.map(({ token }) => token));
      await Promise.allSettled(left.map((commit) => this.settle(commit)));
    }
  }

  close(): void {
    this.#closing.abort();
  }
}
