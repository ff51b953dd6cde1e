/** What each job came to: the auditor's books on P2 (order), P3 (exactly once), P6 and P7 (attempts). */
import type { AcceptedCommit } from './auditor.ts';
import type { Application } from './observer.ts';

export interface JobRules {
  readonly stallsMax: number;
  /** A process that lives can say within that time that it does. */
  readonly leaseMs: number;
  readonly isAlive: (process: string) => boolean;
  readonly settings: Readonly<
    Record<string, { readonly onFailure: string; readonly onExhausted: string }>
  >;
}

export interface JobFacts {
  readonly key: string;
  readonly kind: string;
  readonly attempts: number;
  /** It entered its lane when it was added, so its place is known. */
  readonly entered: boolean;
}

interface JobRecord extends JobFacts {
  /** Counts the jobs of the run. */
  readonly place: number;
  state: 'pending' | 'completed' | 'failed' | 'removed';
  /** How it left its lane for good, since an operator last retried it. */
  decision: string | undefined;
  /** Left its lane and entered again. */
  isOutOfPlace: boolean;
  result: string | undefined;
  throws: number;
  charges: number;
  /** By fencing token, the times it was to be applied alone of which nobody knows that the process has lived through them. */
  starts: Map<number, StartAlone>;
  /** By process, the lock of its last delivery there. */
  locks: Map<string, string>;
  isCascaded: boolean;
  /** It waited for other keys' jobs, as long as its update says. */
  hasGivenUp: boolean;
  /** A commit said that it holds its lane. */
  isHeld: boolean;
  /** What an operator has said of it since it last left its lane: each word may be on its way to be heeded. */
  directives: Set<'skip' | 'drop'>;
  wasRetried: boolean;
}

interface StartAlone {
  readonly process: string;
  state: 'sent' | 'begun' | 'stalled';
  /** For BullMQ its process has died since, at that time. */
  stalledMs: number;
}

const OWN_FAILURE = 'own failure';
const STALLED_TOO_OFTEN = 'JOB_STALLED_TOO_OFTEN';

export class JobLedger {
  readonly #rules: JobRules;
  readonly #now: () => number;
  readonly #report: (promise: string, what: string) => void;
  readonly #jobs = new Map<string, JobRecord>();
  /** By key: the place of the last job in the chain that is in its place. */
  readonly #lastPlace = new Map<string, number>();

  constructor(rules: JobRules, now: () => number, report: (promise: string, what: string) => void) {
    this.#rules = rules;
    this.#now = now;
    this.#report = report;
  }

  added(jobId: string, { key, kind, attempts, entered }: JobFacts): void {
    this.#jobs.set(jobId, {
      // Not spread: that alone took 2.6 % of a run.
      key,
      kind,
      attempts,
      entered,
      place: this.#jobs.size,
      state: 'pending',
      decision: undefined,
      isOutOfPlace: !entered,
      result: undefined,
      throws: 0,
      charges: 0,
      starts: new Map(),
      locks: new Map(),
      isCascaded: false,
      hasGivenUp: false,
      isHeld: false,
      directives: new Set(),
      wasRetried: false,
    });
  }

  removed(jobId: string): void {
    this.#job(jobId).state = 'removed';
  }

  isRemoved(jobId: string): boolean {
    return this.#job(jobId).state === 'removed';
  }

  isHuge(jobId: string): boolean {
    return this.#job(jobId).kind === 'huge';
  }

  /** An operator's word; each begins with a retry. */
  retried(jobId: string, directive: 'skip' | 'drop' | undefined): void {
    const job = this.#job(jobId);
    if (job.decision !== undefined) {
      job.isOutOfPlace = true;
      job.directives.clear();
    }
    job.decision = undefined;
    job.state = 'pending';
    job.isHeld = false;
    if (directive !== undefined) job.directives.add(directive);
    job.wasRetried = true;
  }

  threw(jobId: string, _kind: string): void {
    this.#job(jobId).throws += 1;
  }

  /** A process asks to apply it alone. One that asks again, since others may have died of it, has not begun so far. */
  startsAlone(process: string, jobId: string, token: number): void {
    this.#job(jobId).starts.set(token, { process, state: 'sent', stalledMs: 0 });
  }

  /**
   * Redis has noted it: a stall that follows is put down to it. The process may end before it hears that, and so before it begins: whoever
   * must be told before he begins can always end in between. Such an end counts, once; nothing else that is no death does.
   */
  startedAlone(jobId: string, token: number): void {
    const { starts } = this.#job(jobId);
    const start = starts.get(token);
    if (start?.state !== 'sent') return;
    start.state = 'begun';
    for (const [earlier, { process, state }] of starts) {
      const isOver = state === 'begun' || process === start.process;
      if (earlier < token && isOver) starts.delete(earlier);
    }
  }

  /** It has killed the process that applied it. */
  killed(jobId: string): void {
    this.stalled(jobId); // perhaps BullMQ had given it to somebody else already, and sees no stall
  }

  /**
   * A process says what became of its delivery: it has not died of it. Not if it has a newer one of the same job, for which
   * it may be applying it.
   */
  heard(jobId: string, lock: string): void {
    const { starts, locks } = this.#job(jobId);
    const process = processOf(lock);
    if (locks.get(process) !== lock) return;
    for (const [token, start] of starts) if (start.process === process) starts.delete(token);
  }

  /** For BullMQ a process that does not renew a job's lock has died; Toril knows better once it is heard again. */
  stalled(jobId: string): void {
    for (const start of this.#job(jobId).starts.values()) {
      if (start.state !== 'begun') continue;
      start.state = 'stalled';
      start.stalledMs = this.#now();
    }
  }

  /** A process says that it has not died of these. */
  survived(jobId: string, tokens: readonly number[]): void {
    for (const token of tokens) this.#job(jobId).starts.delete(token);
  }

  delivered(jobId: string, lock: string): void {
    const { state, locks } = this.#job(jobId);
    locks.set(processOf(lock), lock);
    if (state === 'completed') this.#report('P3', `job ${jobId} is delivered, though completed`);
  }

  decided(commit: AcceptedCommit, chained: readonly Application[]): void {
    for (const { jobId, decision } of commit.decided) this.#decide(jobId, decision, commit);
    for (const [jobId, reason] of commit.held) this.#hold(jobId, reason);
    for (const { jobId, key, result } of chained) {
      const job = this.#job(jobId);
      job.result = result;
      if (job.isOutOfPlace) continue;
      if (job.isCascaded) this.#report('P3', `job ${jobId} counts, but should fail with another`);
      const last = this.#lastPlace.get(key) ?? -1;
      if (job.place < last) {
        this.#report('P2', `${key}: job ${jobId} was enqueued before the job that it comes after`);
      }
      this.#lastPlace.set(key, job.place);
    }
  }

  /** It left all its lanes, and no commit decides it. */
  gaveUp(jobId: string, decision: string): void {
    this.#job(jobId).hasGivenUp = true;
    const nothing = { key: '', base: 0, token: 0, value: '', applied: new Map(), decided: [] };
    this.#decide(jobId, decision, { ...nothing, held: new Map(), waiting: [] });
  }

  #decide(jobId: string, decision: string, { waiting }: AcceptedCommit): void {
    const job = this.#job(jobId);
    const { onFailure, onExhausted } = this.#settingsOf(job);
    const kind = decision[0];
    if (kind === 's' || kind === 'm') {
      const wasTold =
        onFailure === 'skip' || job.directives.has('skip') || job.state === 'completed';
      if (!wasTold) this.#report('P2', `job ${jobId} gave up its place without being told to`);
      job.isOutOfPlace = true;
      return;
    }
    if (job.decision !== undefined) {
      this.#report('P3', `job ${jobId} was decided "${job.decision}" and then "${decision}"`);
    }
    job.decision = decision;
    // Now, not when BullMQ hears it: what is said meanwhile comes too late.
    if (decision.includes(STALLED_TOO_OFTEN) && !job.isHeld && !this.#mayFail(job, decision))
      this.#report('P7', `job ${jobId} fails for good, but no process died of it: ${decision}`);
    if (kind !== 'c') return;
    if (onExhausted !== 'cascade') this.#report('P3', `job ${jobId} cascades, but should not`);
    for (const other of waiting) this.#job(other).isCascaded = true;
  }

  /** BullMQ is told only now, and may hear it from somebody else, later, with another reason. */
  #hold(jobId: string, reason: string): void {
    const job = this.#job(jobId);
    if (job.isHeld || job.state !== 'pending') return;
    job.isHeld = true;
    if (!this.#mayFail(job, reason)) {
      this.#report('P7', `job ${jobId} holds its lane after ${job.charges} charges: ${reason}`);
    }
  }

  completed(jobId: string, result: string): void {
    const job = this.#job(jobId);
    if (job.state !== 'pending') this.#report('P3', `job ${jobId} completes, but is ${job.state}`);
    job.state = 'completed';
    if (job.decision?.[0] !== 'a') {
      this.#report('P3', `job ${jobId} completes, but its lane says ${job.decision}`);
    } else if (job.result !== result) {
      this.#report('P3', `job ${jobId} completes with ${result}, not with ${job.result}`);
    }
  }

  charged(jobId: string, reason: string): void {
    const job = this.#job(jobId);
    job.charges += 1;
    for (const [token, { state }] of job.starts) if (state === 'begun') job.starts.delete(token);
    if (!this.#isOwnFault(job, reason)) {
      this.#report('P7', `job ${jobId} was charged for: ${reason}`);
    }
  }

  failed(jobId: string, reason: string): void {
    const job = this.#job(jobId);
    if (job.state !== 'pending') this.#report('P3', `job ${jobId} fails, but is ${job.state}`);
    job.state = 'failed';
    const { onExhausted } = this.#settingsOf(job);
    const kind = job.decision?.[0];
    if (kind === 'a' || (kind === undefined && onExhausted !== 'hold')) {
      this.#report('P3', `job ${jobId} fails, but its lane says ${job.decision}`);
    }
    const isJudged = job.isHeld || (kind !== undefined && reason.includes(STALLED_TOO_OFTEN));
    if (!isJudged && !this.#mayFail(job, reason)) {
      this.#report('P7', `job ${jobId} fails for good after ${job.charges} charges: ${reason}`);
    }
  }

  finish(): void {
    for (const [jobId, { state, decision }] of this.#jobs) {
      if (state === 'removed') continue;
      if (state === 'pending') this.#report('P6', `job ${jobId} is neither completed nor failed`);
      if (decision?.[0] === 'a' && state !== 'completed') {
        this.#report('P3', `job ${jobId} is in the chain, but ${state}`);
      }
    }
  }

  #mayFail(job: JobRecord, reason: string): boolean {
    if (reason.includes(STALLED_TOO_OFTEN) || reason.includes('died or froze')) {
      const deaths = [...job.starts.values()].filter((start) => this.#isDeath(start));
      return deaths.length >= this.#rules.stallsMax;
    }
    if (reason.includes('JOB_CASCADED')) return job.isCascaded;
    if (reason.includes('onBlocked')) return job.hasGivenUp;
    if (reason.includes('JOB_DROPPED')) return job.directives.has('drop');
    if (reason.includes('VALUE_TOO_LARGE') || job.kind === 'huge') return job.kind === 'huge';
    const isUsedUp = job.charges + 1 >= job.attempts;
    return this.#isOwnFault(job, reason) && (isUsedUp || job.wasRetried);
  }

  /** One that lives has been silent for a lease: it stands still, or nobody can hear it. */
  #isDeath({ process, state, stalledMs }: StartAlone): boolean {
    if (state !== 'stalled') return false;
    const { isAlive, leaseMs } = this.#rules;
    return !isAlive(process) || this.#now() - stalledMs >= leaseMs;
  }

  /** Its update threw, and more often than it was charged for. */
  #isOwnFault(job: JobRecord, reason: string): boolean {
    if (job.throws < job.charges) return false;
    return job.kind === 'hang' ? reason.includes('settle') : reason.includes(OWN_FAILURE);
  }

  #settingsOf({ kind }: JobRecord): { onFailure: string; onExhausted: string } {
    return this.#rules.settings[kind] as { onFailure: string; onExhausted: string };
  }

  #job(jobId: string): JobRecord {
    const job = this.#jobs.get(jobId);
    if (job === undefined) throw new Error(`the auditor has never heard of job ${jobId}`);
    return job;
  }
}

/** A lock's token is that of a process's delivery (worker-process.ts). */
function processOf(lock: string): string {
  return lock.slice(0, lock.indexOf(':'));
}
