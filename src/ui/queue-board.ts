/** A queue and its memcached servers, as the page sees them. */
import { type Clock, settlesWithin } from '../base/clock.ts';
import { systemRandom } from '../base/random.ts';
import { Cells } from '../cells/cells.ts';
import { messageOf, TorilError } from '../errors.ts';
import { NO_VALUE_HASH, type HistoryEntry } from '../history/history.ts';
import type { AuditTrail } from '../jobs/audit-trail.ts';
import type { Queue } from '../jobs/queue.ts';
import type { LaneCounts, LanePage, LanesRequest } from '../jobs/reports/lane-report.ts';
import { isJobAction } from '../jobs/reports/why.ts';
import { MemcachedLeaseLocks } from '../lock/lease-locks.ts';
import type { MemcachedServers } from '../memcached/servers.ts';
import { decodeOutcome, HELD, MOVED } from '../updates/outcome.ts';
import { LaneInspector } from '../workers/inspecting/inspector.ts';
import type { TrustContext } from '../workers/trust/trust.ts';
import { keysToTrust, trustedText, trustTogether } from '../workers/trust/trust-together.ts';
import type {
  Board,
  BoardAction,
  CellSight,
  CommitSight,
  CommitsSight,
  LaneSight,
} from './board.ts';

/** Nobody looks at a page that just hangs; a queue's own client may wait for Redis without end. */
const ANSWER_MS = 5_000;
/** For the key's lease, which a worker gives back after its turn. */
const LEASE_WAIT_MS = 20_000;
const COMMITS_SHOWN = 30;

export class QueueBoard implements Board {
  readonly #queue: Queue;
  readonly #servers: MemcachedServers | undefined;
  readonly #inspector: LaneInspector | undefined;
  readonly #clock: Clock;
  readonly audit: AuditTrail;

  constructor(queue: Queue, servers: MemcachedServers | undefined, clock: Clock) {
    this.#queue = queue;
    this.#servers = servers;
    this.#inspector = servers && new LaneInspector(queue, servers, clock);
    this.#clock = clock;
    const { audit } = queue;
    this.audit = {
      begin: (act) => this.#inTime(audit.begin(act)),
      end: (id, end) => this.#inTime(audit.end(id, end)),
      read: (request) => this.#inTime(audit.read(request)),
    };
  }

  get name(): string {
    return this.#queue.name;
  }

  get qualifiedName(): string {
    return this.#queue.qualifiedName;
  }

  counts(): Promise<LaneCounts> {
    return this.#inTime(this.#queue.laneCounts());
  }

  lanes(request: LanesRequest): Promise<LanePage> {
    return this.#inTime(this.#queue.lanes(request));
  }

  async lane(key: string): Promise<LaneSight> {
    const [report, cell] = await Promise.all([
      // What memcached tells of its cell and lease is a part of why it stands, as `toril why` says it.
      this.#inTime(this.#inspector?.inspect(key) ?? this.#queue.lane(key).report()),
      this.#cell(key),
    ]);
    return { report, cell };
  }

  async commits(key: string): Promise<CommitsSight> {
    const { entries, hasMore } = await this.#inTime(
      this.#queue.inRedis.history.latest(key, COMMITS_SHOWN),
    );
    return { commits: entries.map(commitSight), hasMore };
  }

  lanesOf(jobId: string): Promise<readonly string[]> {
    return this.#inTime(this.#queue.inRedis.lanes.lanesOf(jobId));
  }

  async act(action: BoardAction, key: string, jobId: string): Promise<string> {
    const lane = this.#queue.lane(key);
    if (isJobAction(action)) {
      await this.#inTime(lane[action](jobId));
      return 'the next worker that receives it carries it out';
    }
    switch (action) {
      case 'resume':
        await this.#inTime(this.#queue.resume());
        return 'workers get jobs again';
      case 'trust-cell':
      case 'trust-copy':
        return this.#trust(action === 'trust-cell' ? 'cell' : 'copy', key);
    }
  }

  async keysOf(action: BoardAction, key: string, jobId: string): Promise<readonly string[]> {
    if (isJobAction(action)) return this.lanesOf(jobId);
    if (action === 'resume' || this.#servers === undefined) return [];
    return this.#settling((context) => keysToTrust(context, key));
  }

  #trust(which: 'cell' | 'copy', key: string): Promise<string> {
    return this.#settling(async (context) => {
      const keys = await keysToTrust(context, key);
      return trustedText(keys, await trustTogether(context, which, keys));
    });
  }

  async #settling<T>(settle: (context: TrustContext) => Promise<T>): Promise<T> {
    const servers = this.#servers;
    if (servers === undefined) {
      throw new TorilError(
        'INVALID_OPTIONS',
        'the page was given no memcached servers ("memcached"), so it cannot settle which value is true. Say it with toril lane KEY --trust.',
      );
    }
    const clock = this.#clock;
    const locks = new MemcachedLeaseLocks({ clock, random: systemRandom });
    const { inRedis, qualifiedName: queue } = this.#queue;
    const context = {
      ...{ queue, servers, locks, lanes: inRedis.lanes, clock },
      waitMs: LEASE_WAIT_MS,
    };
    try {
      return await this.#inTime(settle(context), LEASE_WAIT_MS + ANSWER_MS);
    } finally {
      await locks.close();
    }
  }

  async #cell(key: string): Promise<CellSight> {
    if (this.#servers === undefined) return { kind: 'not-asked' };
    try {
      const read = this.#inTime(new Cells(this.#servers).read(key));
      const state = await read;
      return state === undefined ? { kind: 'none' } : { kind: 'cell', ...state };
    } catch (thrown) {
      const code = thrown instanceof TorilError ? thrown.code : 'INTERNAL';
      return { kind: 'unusable', code, reason: messageOf(thrown) };
    }
  }

  /** @throws TorilError REDIS_FAILED, and what `asked` throws */
  async #inTime<T>(asked: Promise<T>, ms = ANSWER_MS): Promise<T> {
    if (await settlesWithin(this.#clock, ms, asked)) return asked.catch(failed);
    asked.catch(() => undefined);
    throw new TorilError(
      'REDIS_FAILED',
      `there was no answer within ${ms} ms. Is Redis there, and is its address right? What was asked for may still happen.`,
    );
  }
}

/** What a request to BullMQ throws that is not Toril's own comes from Redis. */
function failed(thrown: unknown): never {
  if (thrown instanceof TorilError) throw thrown;
  throw new TorilError('REDIS_FAILED', `Redis failed a request: ${messageOf(thrown)}.`, {
    cause: thrown,
  });
}

function commitSight(entry: HistoryEntry): CommitSight {
  const { id, token, value, hash, recovered, jobs } = entry;
  return {
    ...{ id, token, recovered },
    atMs: Number(id.split('-')[0]),
    valueJson: hash === NO_VALUE_HASH ? null : value,
    jobs: jobs.map(({ jobId, name = '(removed)', data, decision, attempt, keys }) => ({
      ...{ jobId, name, attempt, ...(keys && { keys }) },
      dataJson: data,
      end: endOf(decision),
    })),
  };
}

function endOf(decision: string): string {
  const outcome = decodeOutcome(decision);
  if (outcome !== undefined)
    return outcome.kind === 'applied' ? 'applied' : `failed (${outcome.code})`;
  if (decision === MOVED) return 'moved to the end of its lane';
  return decision.startsWith(HELD) ? 'holds the lane' : 'left the lane';
}
