/** A Redis whose scripts the auditor sees as they run. */
import type { Clock } from '../../src/base/clock.ts';
import type { JointCommit } from '../../src/jobs/joint-lanes.ts';
import type { Acknowledgement, Taken, TakeRequest } from '../../src/jobs/lanes.ts';
import type { Acknowledged } from '../../src/jobs/lane.ts';
import { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import type { Auditor } from './auditor.ts';
import type { Trace } from './trace.ts';

const ALL = 10_000;

export class ObservedJobs extends MemoryJobs {
  readonly #auditor: Auditor;
  readonly #trace: Trace;

  readonly #drivesTogether: boolean;

  /** @param drivesTogether nobody is kept from a run that somebody else has in hand */
  constructor(clock: Clock, auditor: Auditor, trace: Trace, drivesTogether: boolean) {
    super(clock);
    this.#drivesTogether = drivesTogether;
    this.#auditor = auditor;
    this.#trace = trace;
    const { joint } = this;
    const acknowledge = joint.acknowledge.bind(joint);
    joint.acknowledge = (commit) => this.#observeJoint(commit, acknowledge);
    const withdraw = joint.withdraw.bind(joint);
    joint.withdraw = (jobId, decision) => {
      const isDecided = this.get(jobId)?.outcome !== '';
      const isWithdrawn = withdraw(jobId, decision);
      if (isWithdrawn && !isDecided) this.#gaveUp(jobId, decision);
      return isWithdrawn;
    };
    const settled = joint.settled.bind(joint);
    joint.settled = (token, isLasting) => {
      trace.note('redis', `the cells of ${token} are written`);
      settled(token, isLasting);
    };
  }

  #gaveUp(jobId: string, decision: string): void {
    this.#trace.note('redis', `job ${jobId} gives up`);
    this.#auditor.jobs.gaveUp(jobId, decision);
  }

  #observeJoint(
    commit: JointCommit,
    acknowledge: (commit: JointCommit) => Acknowledged,
  ): Acknowledged {
    const { token, keys, decisions } = commit;
    const before = new Map(keys.map(({ key }) => [key, this.inspect(key, ALL)]));
    const answer = acknowledge(commit);
    const names = keys.map(({ key, base }) => `${key} on ${base}`).join(', ');
    const verdict = answer.accepted ? 'accepted' : 'refused';
    this.#trace.note('redis', `acknowledge ${token} of ${names}: ${verdict}`);
    const isNew = keys.some(({ key }) => before.get(key)?.copy.token !== token);
    if (!answer.accepted || !isNew) return answer;
    const links = keys.map(({ key, base, value, expireMs, jobIds }) => ({
      ...{ key, base, expireMs, jobIds },
      value: typeof value === 'object' ? value.json : value,
      waiting: (before.get(key)?.head ?? [])
        .map(({ jobId }) => jobId)
        .filter((jobId) => !jobIds.includes(jobId)),
    }));
    this.#auditor.acknowledgedJoint({ token, links, decisions });
    return answer;
  }

  override take(request: TakeRequest): Taken {
    if (this.#drivesTogether) this.#forgetRuns();
    const taken = super.take(request);
    const { token, copy, entries } = taken;
    const ids = entries.map(({ jobId }) => jobId).join(' ');
    const suspects = entries.filter(({ stalls }) => stalls > 0).map(({ jobId }) => jobId);
    this.#auditor.taken(request.key, token, suspects);
    this.#trace.note(
      'redis',
      `take ${request.key}: token ${token}, copy ${copy.token}, jobs [${ids}]`,
    );
    return taken;
  }

  #forgetRuns(): void {
    for (const key of this.laneKeys()) {
      const batch = this.inHand(key);
      if (batch !== undefined && 'isRun' in batch) this.putBack([key], batch.token);
    }
  }

  override acknowledge(commit: Acknowledgement): Acknowledged {
    const { key, base, token, watermark, decisions } = commit;
    const before = this.inspect(key, ALL);
    const undecided = [...(commit.late?.keys() ?? [])].filter(
      (jobId) => this.get(jobId)?.outcome === '',
    );
    const answer = super.acknowledge(commit);
    const verdict = answer.accepted ? 'accepted' : 'refused';
    this.#trace.note('redis', `acknowledge ${key}: ${token} on ${base}, ${verdict}`);
    const isNew = answer.accepted && before.copy.token !== token;
    if (!isNew) return answer;
    const left = before.head.filter(({ sequence }) => sequence <= watermark);
    const there = new Set(left.map(({ jobId }) => jobId));
    // Redis has gone back to before they entered, and was told all the same.
    const told = undecided.filter((id) => !there.has(id) && this.get(id)?.outcome !== '');
    const ids = [...there, ...told];
    const decided = ids.map((jobId) => ({ jobId, decision: decisions.get(jobId) ?? 'a' }));
    const named = [...decisions].map(([jobId, decision]) => ({ jobId, decision }));
    const applied = [...decided, ...named].filter(({ decision }) => decision[0] === 'a');
    this.#auditor.acknowledged({
      key,
      base,
      token,
      value: typeof commit.value === 'object' ? commit.value.json : commit.value,
      applied: new Map(applied.map(({ jobId, decision }) => [jobId, decision])),
      decided,
      held: new Map(
        named
          .filter(({ decision }) => decision[0] === 'h')
          .map(({ jobId, decision }) => [jobId, decision.slice(1)]),
      ),
      waiting: before.head
        .slice(left.length)
        .map(({ jobId }) => jobId)
        .filter((jobId) => !told.includes(jobId)),
    });
    return answer;
  }

  override startAlone(
    jobId: string,
    token: number,
    survived: readonly number[],
    deathsMax: number,
  ): number {
    const starts = super.startAlone(jobId, token, survived, deathsMax);
    if (this.get(jobId)?.alone.token === token) this.#auditor.jobs.startedAlone(jobId, token);
    this.#trace.note('redis', `job ${jobId} is to be applied alone (${starts})`);
    return starts;
  }

  override noteSurvived(jobId: string, tokens: readonly number[]): void {
    super.noteSurvived(jobId, tokens);
    if (tokens.length > 0) this.#auditor.jobs.survived(jobId, tokens);
  }
}
