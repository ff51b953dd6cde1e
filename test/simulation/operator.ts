/** The people around a queue: they pause it, remove jobs, and decide about jobs that hold their key. */
import type { Dice } from './dice.ts';
import type { World } from './world.ts';

/** Milliseconds between two looks for held lanes, once nothing goes wrong any more. */
const LOOK_MS = 20;
/** Retries and skips of one job before it is dropped, so that a run ends. */
const PATIENCE = 3;

export class Operator {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #retries = new Map<string, number>();

  constructor(world: World, dice: Dice) {
    this.#world = world;
    this.#dice = dice;
  }

  act(): void {
    const { bull, scheduler, processes } = this.#world;
    switch (this.#dice.below(5)) {
      case 0:
        this.#note('pauses the queue');
        bull.setPaused(true);
        scheduler.at(this.#dice.magnitude(1, 300), () => bull.setPaused(false));
        break;
      case 1: {
        const process = this.#dice.pick(processes);
        if (process === undefined) break;
        this.#note(`pauses ${process.name}`);
        process.rest(true);
        scheduler.at(this.#dice.magnitude(1, 300), () => process.rest(false));
        break;
      }
      case 2:
        this.#removeSome();
        break;
      case 3:
        this.#retrySome();
        break;
      default:
        this.#settleHold(this.#dice.pick(this.#world.keys));
    }
  }

  /** As a stock client of BullMQ's, which knows of no lanes. */
  meddle(): void {
    const { jobs, bull, auditor } = this.#world;
    const remove = (states: readonly string[], most: number): void => {
      const some = [...jobs.all()].filter(({ state }) => states.includes(state)).slice(0, most);
      for (const { id } of some) if (bull.remove(id)) auditor.jobs.removed(id);
    };
    switch (this.#dice.below(4)) {
      case 0:
        this.#note('drains the queue');
        return remove(['waiting', 'delayed'], Number.POSITIVE_INFINITY);
      case 1:
        this.#note('cleans what is done');
        return remove(['completed', 'failed'], this.#dice.whole(1, 5));
      default:
        this.#note('promotes what is delayed');
        for (const { id, state } of jobs.all()) if (state === 'delayed') bull.promote(id);
    }
  }

  /** From now on no lane stays held. */
  settleHolds(): void {
    for (const key of this.#world.keys) this.#settleHold(key);
    this.#world.scheduler.at(LOOK_MS, () => this.settleHolds());
  }

  /** As LaneHandle: for the job at the lane's head, if it has failed. */
  #settleHold(key: string): void {
    const { jobs, bull, auditor } = this.#world;
    const jobId = jobs.inspect(key, 1).head[0]?.jobId ?? '';
    if (jobs.get(jobId)?.state !== 'failed') return;
    const retries = (this.#retries.get(jobId) ?? 0) + 1;
    this.#retries.set(jobId, retries);
    const word = retries > PATIENCE ? 'drop' : this.#dice.pick(['retry', 'skip', 'drop']);
    this.#note(`${word} job ${jobId}, which holds ${key}`);
    if (word !== 'retry') jobs.direct(jobId, word);
    auditor.jobs.retried(jobId, word === 'retry' ? undefined : word);
    bull.reprocess(jobId);
  }

  #removeSome(): void {
    const { jobs, bull, auditor } = this.#world;
    const candidates = [...jobs.all()].filter(
      ({ state }) => state === 'waiting' || state === 'delayed',
    );
    if (candidates.length === 0) return;
    const { id, data } = this.#dice.pick(candidates);
    if (!bull.remove(id)) return;
    // As TorilBackend.remove does in one step, or as a client without Toril, which leaves the entry.
    const { key } = JSON.parse(data) as { key: string };
    if (this.#dice.chance(0.8)) bull.wake(jobs.leaveIfGone(key, id));
    this.#note(`removes job ${id}`);
    auditor.jobs.removed(id);
  }

  /** One that failed for good and left its lane: it enters anew. */
  #retrySome(): void {
    const { jobs, bull, auditor } = this.#world;
    const failed = [...jobs.all()].filter(({ state }) => state === 'failed');
    if (failed.length === 0) return;
    const { id } = this.#dice.pick(failed);
    this.#note(`retries job ${id}`);
    auditor.jobs.retried(id, undefined);
    bull.reprocess(id);
  }

  #note(what: string): void {
    this.#world.trace.note('operator', what);
  }
}
