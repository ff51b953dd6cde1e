/** A Redis whose scripts the auditor sees as they run. */
import type { Clock } from '../../src/base/clock.ts';
import type { Acknowledged, Acknowledgement, Taken, TakeRequest } from '../../src/jobs/lanes.ts';
import { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import type { Auditor } from './auditor.ts';
import type { Trace } from './trace.ts';

const ALL = 10_000;

export class ObservedJobs extends MemoryJobs {
  readonly #auditor: Auditor;
  readonly #trace: Trace;

  constructor(clock: Clock, auditor: Auditor, trace: Trace) {
    super(clock);
    this.#auditor = auditor;
    this.#trace = trace;
  }

  override take(request: TakeRequest): Taken {
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

  override startAlone(jobId: string, token: number, survived: readonly number[]): number {
    const starts = super.startAlone(jobId, token, survived);
    this.#auditor.jobs.startedAlone(jobId, token);
    this.#trace.note('redis', `job ${jobId} is to be applied alone (${starts})`);
    return starts;
  }

  override noteSurvived(jobId: string, tokens: readonly number[]): void {
    super.noteSurvived(jobId, tokens);
    if (tokens.length > 0) this.#auditor.jobs.survived(jobId, tokens);
  }
}
