/**
 * Checks the promises of docs/design.md on what is observed, and shares no code with the product:
 * it knows the format of an envelope and of a decision as any other reader would, and has its own
 * model of what a chain of commits is.
 */
import type { HistoryEntry } from '../../src/history/history.ts';
import { CellWatch } from './cell-watch.ts';
import { type HistoryRules, type Link, wrongHistory } from './history-audit.ts';
import { JobLedger, type JobRules } from './job-ledger.ts';
import type { Application, BullObserver } from './observer.ts';
import { StrictWatch } from './strict-watch.ts';

export type AuditorRules = JobRules & HistoryRules;

export interface Violation {
  /** P1 to P7. */
  readonly promise: string;
  readonly what: string;
  readonly atMs: number;
}

/** A commit that Redis accepted, for the first time. */
export interface AcceptedCommit {
  readonly key: string;
  readonly base: number;
  readonly token: number;
  /** JSON. */
  readonly value: string;
  /** The jobs that it applied, as far as it says or the lane shows; each with its decision. */
  readonly applied: ReadonlyMap<string, string>;
  /** The jobs that left the lane with it, in order. */
  readonly decided: readonly { readonly jobId: string; readonly decision: string }[];
  /** The job that holds the lane from now on, if one does, and why. */
  readonly held: ReadonlyMap<string, string>;
  /** The jobs that stayed. */
  readonly waiting: readonly string[];
}

/** One of the keys of a joint commit. */
export interface JointLink {
  readonly key: string;
  readonly base: number;
  /** JSON, or `deleted`. */
  readonly value: string;
  readonly expireMs: number;
  /** Jobs of the commit that left the key's lane, in order. */
  readonly jobIds: readonly string[];
  /** The jobs that stayed. */
  readonly waiting: readonly string[];
}

/** A commit of several keys that Redis accepted, for the first time. No cell has it yet. */
export interface AcceptedJointCommit {
  readonly token: number;
  readonly links: readonly JointLink[];
  /** Of all its jobs, in order. */
  readonly decisions: ReadonlyMap<string, string>;
}

interface Chain {
  /** Of the last accepted commit; 0: none. */
  token: number;
  /** JSON; `deleted`: there is none. */
  value: string;
  /** From when on the value may be gone. */
  expiresMs: number;
  lastSequence: number;
  /** The highest with which a strict update has begun. */
  strictToken: number;
  readonly jobs: string[];
  /** By token; each call of an update under a lease. */
  readonly applications: Map<number, Application[]>;
  /** By token: jobs with which a process had died or frozen before. */
  readonly suspects: Map<number, readonly string[]>;
}

const TTL_ROUNDING_MS = 1_000;
const INITIAL = '{"jobs":[]}';
const DELETED = 'deleted';

export class Auditor implements BullObserver {
  readonly violations: Violation[] = [];
  readonly jobs: JobLedger;
  readonly #rules: AuditorRules;
  readonly #now: () => number;
  readonly #cells: CellWatch;
  readonly #strict: StrictWatch;
  readonly #chains = new Map<string, Chain>();
  /** By job id: the joint commit that has applied it. */
  readonly #joint = new Map<string, { readonly token: number; readonly keys: readonly string[] }>();
  readonly #links: Link[] = [];
  #clockWasSet = false;

  constructor(rules: AuditorRules, now: () => number) {
    this.#rules = rules;
    this.#now = now;
    const report = (promise: string, what: string): void => this.#violated(promise, what);
    this.jobs = new JobLedger(rules, now, report);
    this.#cells = new CellWatch(now, report);
    this.#strict = new StrictWatch(report);
  }

  // Memcached

  cellWritten(key: string, text: string, ttlSeconds: number): void {
    this.#cells.written(key, text, ttlSeconds);
  }

  /** Somebody has acquired the key's lease; the owner's id begins with the name of the process. */
  lockWritten(key: string, text: string): void {
    this.#strict.locked(key, text.slice(0, text.indexOf(' ')));
  }

  lockWrittenByCas(key: string, process: string, cas: bigint, replaces: boolean): void {
    this.#strict.lockedByCas(key, process, cas, replaces);
  }

  lockLost(key: string): void {
    this.#strict.lost(key);
  }

  cellLost(key: string): void {
    this.#cells.lost(key);
  }

  /** It has a new CAS. */
  cellClosed(key: string): void {
    this.#cells.closed(key);
  }

  /** By somebody of Toril's, who had no room for what is true. */
  cellDeleted(key: string): void {
    this.#cells.deleted(key);
  }

  /** By somebody who knows nothing of Toril. */
  cellOverwritten(key: string): void {
    this.#cells.overwritten(key);
  }

  /** Somebody has set the clock by which Redis knows when a value is gone. */
  redisClockSet(): void {
    this.#clockWasSet = true;
  }

  // Updates

  applied(application: Application): void {
    const { key, token, jobId, process } = application;
    this.#cells.works(key, token, this.#strict.acquisitionOf(key, process));
    const chain = this.#chainOf(key);
    if (token <= 0 || !Number.isSafeInteger(token)) {
      this.#violated('P5', `job ${jobId} was given the token ${token}`);
    }
    const together = chain.applications.get(token);
    if (together === undefined) chain.applications.set(token, [application]);
    else {
      if (chain.suspects.get(token)?.includes(jobId) === true) this.#mustBeAlone(jobId, together);
      together.push(application);
    }
  }

  /** The same, of one of several keys: it need not hold that key's lease. */
  appliedJoint(application: Application): void {
    const { key, token } = application;
    const { applications } = this.#chainOf(key);
    applications.set(token, [...(applications.get(token) ?? []), application]);
  }

  /** If it kills the process, the others go down with it. */
  #mustBeAlone(jobId: string, together: readonly Application[]): void {
    const other = together.find((before) => before.jobId !== jobId);
    if (other === undefined) return;
    this.#violated(
      'P7',
      `job ${jobId}, which has stalled before, is applied together with job ${other.jobId}`,
    );
  }

  /**
   * The one just begun acts on the outside world. `isStopped`: it was told to stop, or its process
   * cannot run. Returns what must be called when it has ended.
   */
  startedStrict(application: Application, isStopped: () => boolean): () => void {
    const { key, token, jobId, process } = application;
    const chain = this.#chainOf(key);
    this.#cells.strictStarted(key, token, this.#strict.acquisitionOf(key, process));
    this.#mustBeCalledOnce(application, chain.applications.get(token) ?? []);
    application.isFencedOff = token < chain.strictToken;
    chain.strictToken = Math.max(chain.strictToken, token);
    return this.#strict.started(key, process, jobId, isStopped);
  }

  /** Unless a value that does not fit into memcached makes the whole batch void. */
  #mustBeCalledOnce(application: Application, together: readonly Application[]): void {
    const { jobId, token } = application;
    const isAgain = together.some(
      (before) => before !== application && before.jobId === jobId && before.after !== undefined,
    );
    if (!isAgain || together.some((one) => this.jobs.isHuge(one.jobId))) return;
    this.#violated('P3', `the strict update of job ${jobId} is called twice under ${token}`);
  }

  threw(jobId: string, kind: string): void {
    this.jobs.threw(jobId, kind);
  }

  // BullMQ

  delivered(jobId: string, lock: string): void {
    this.jobs.delivered(jobId, lock);
  }

  completed(jobId: string, result: string): void {
    this.jobs.completed(jobId, result);
    const joint = this.#joint.get(jobId);
    for (const key of joint?.keys ?? []) {
      if (this.#cells.isOlder(key, joint?.token ?? 0))
        this.#violated('P3', `job ${jobId} completes, but the cell of ${key} is older than it`);
    }
  }

  failed(jobId: string, reason: string): void {
    this.jobs.failed(jobId, reason);
  }

  charged(jobId: string, reason: string): void {
    this.jobs.charged(jobId, reason);
  }

  heard(jobId: string, lock: string): void {
    this.jobs.heard(jobId, lock);
  }

  stalled(jobId: string): void {
    this.jobs.stalled(jobId);
  }

  // Redis

  /** A lane's head was handed out under that token. `suspects`: those that have stalled before. */
  taken(key: string, token: number, suspects: readonly string[]): void {
    this.#cells.drawn(key, token);
    if (suspects.length > 0) this.#chainOf(key).suspects.set(token, suspects);
  }

  acknowledged(commit: AcceptedCommit): void {
    const { key, base, token } = commit;
    const chain = this.#chainOf(key);
    if (base !== chain.token) {
      this.#violated('P1', `${key}: commit ${token} was built on ${base}, not on ${chain.token}`);
    }
    if (token <= chain.token) {
      this.#violated('P5', `${key}: token ${token} comes after ${chain.token}`);
    }
    const value = this.#committedValue(commit);
    const chained = this.#link(chain, commit, value);
    for (const application of chained) this.#extend(chain, application);
    this.jobs.decided(commit, chained);
    chain.token = token;
    chain.value = value;
    this.#links.push({ key, token, base, value });
    this.#setExpiry(chain, this.#cells.writeOf(key, token)?.expireMs ?? 0, chained.length > 0);
    this.#cells.acknowledged(key, token);
    for (const older of chain.applications.keys()) {
      if (older <= token) chain.applications.delete(older);
    }
    for (const older of chain.suspects.keys()) {
      if (older <= token) chain.suspects.delete(older);
    }
  }

  /** All keys at a time, and its jobs at all of them: each in its chain, or in none. */
  acknowledgedJoint({ token, links, decisions }: AcceptedJointCommit): void {
    const chained: Application[] = [];
    for (const link of links) chained.push(...this.#chainJoint(token, link, decisions));
    for (const [jobId, decision] of decisions) {
      const its = links.filter(({ jobIds }) => jobIds.includes(jobId));
      const isHeld = decision[0] === 'h';
      const keys = its.map(({ key }) => key);
      if (!isHeld) this.#joint.set(jobId, { token, keys });
      this.jobs.decided(
        {
          ...{ key: keys.join(' '), base: 0, token, value: '', applied: new Map() },
          decided: isHeld ? [] : [{ jobId, decision }],
          held: new Map(isHeld ? [[jobId, decision.slice(1)]] : []),
          waiting: its.flatMap(({ waiting }) => waiting),
        },
        [],
      );
    }
    this.jobs.decided(
      {
        ...{ key: '', base: 0, token, value: '', applied: new Map() },
        ...{ decided: [], held: new Map(), waiting: [] },
      },
      chained,
    );
  }

  #chainJoint(
    token: number,
    { key, base, value, expireMs, jobIds }: JointLink,
    decisions: ReadonlyMap<string, string>,
  ): Application[] {
    const chain = this.#chainOf(key);
    if (base !== chain.token)
      this.#violated('P1', `${key}: ${token} was built on ${base}, not on ${chain.token}`);
    if (token <= chain.token)
      this.#violated('P5', `${key}: token ${token} comes after ${chain.token}`);
    const applied = new Map(
      jobIds
        .map((jobId): [string, string] => [jobId, decisions.get(jobId) ?? ''])
        .filter(([, decision]) => decision[0] === 'a'),
    );
    const commit = { key, base, token, value, applied, decided: [], held: new Map(), waiting: [] };
    const chained = this.#link(chain, commit, value);
    for (const application of chained) this.#extend(chain, application);
    chain.token = token;
    chain.value = value;
    this.#links.push({ key, token, base, value });
    this.#setExpiry(chain, expireMs, chained.length > 0);
    this.#cells.decided(key, { token, base: token, value, expireMs });
    for (const older of chain.applications.keys())
      if (older <= token) chain.applications.delete(older);
    return chained;
  }

  /**
   * At the end: what every job and every key has come to.
   * @param copies JSON by key @param history what is left of it; undefined: there is none
   */
  finish(copies: ReadonlyMap<string, string>, history: readonly HistoryEntry[] | undefined): void {
    this.jobs.finish();
    const wrong = history && wrongHistory(history, this.#links, this.#rules);
    for (const what of wrong ?? []) this.#violated('P9', what);
    for (const [key, chain] of this.#chains) {
      const copy = copies.get(key) ?? DELETED;
      if (copy === DELETED && this.#mayBeGone(chain)) continue;
      if (this.#rules.durableCopies && copy !== chain.value) {
        this.#violated('P4', `${key}: the copy is ${copy}, the chain ends in ${chain.value}`);
      }
    }
  }

  /** Job ids in the order of their updates. */
  chainOf(key: string): readonly string[] {
    return this.#chainOf(key).jobs;
  }

  /** What was committed is what had landed in memcached, and, if there is one, what is in the copy. */
  #committedValue({ key, token, base, value }: AcceptedCommit): string {
    const written = this.#cells.writeOf(key, token);
    if (written === undefined) {
      this.#violated('P1', `${key}: commit ${token} was acknowledged, but never landed in a cell`);
      return value;
    }
    if (written.base !== base) {
      this.#violated(
        'P1',
        `${key}: commit ${token} has base ${written.base}, acknowledged ${base}`,
      );
    }
    if (this.#rules.durableCopies && written.value !== value) {
      this.#violated('P4', `${key}: commit ${token} is ${written.value}, its copy ${value}`);
    }
    return written.value;
  }

  /**
   * Which calls of updates, in order, lead from the value before to the one after. All jobs that the
   * commit says it applied must be among them; a job that was removed meanwhile may be.
   */
  #link(chain: Chain, { key, token, applied }: AcceptedCommit, value: string): Application[] {
    const wanted = new Map(applied);
    const calls = chain.applications.get(token) ?? [];
    const linked: Application[] = [];
    let after = value;
    for (let at = calls.length - 1; at >= 0; at--) {
      if (wanted.size === 0 && this.#continues(chain, key, after)) break;
      const call = calls[at] as Application;
      const { jobId, result, before } = call;
      if (call.after !== after && (call.after !== DELETED || after !== INITIAL)) continue;
      const decision = wanted.get(jobId);
      if (decision === undefined && !this.jobs.isRemoved(jobId)) continue;
      if (decision !== undefined && decision !== `a${result}`) {
        this.#violated('P3', `job ${jobId} reports ${decision}, its update ${result}`);
      }
      wanted.delete(jobId);
      linked.unshift(call);
      after = before;
    }
    if (wanted.size > 0) {
      const missing = [...wanted.keys()].join(' ');
      this.#violated('P1', `${key}: commit ${token} applied ${missing}, but is ${value}`);
    }
    if (!this.#continues(chain, key, after)) {
      this.#violated('P1', `${key}: commit ${token} starts from ${after}, not from ${chain.value}`);
    }
    return linked;
  }

  #continues(chain: Chain, key: string, start: string): boolean {
    if (start === chain.value || (start === INITIAL && chain.value === DELETED)) return true;
    const isFresh = start === INITIAL || start === DELETED;
    if (isFresh && this.#mayBeGone(chain)) return true;
    return isFresh && !this.#rules.durableCopies && this.#cells.lostSinceCommit(key);
  }

  /** Only an update gives a value more time. */
  #setExpiry(chain: Chain, expireMs: number, isNewValue: boolean): void {
    const expiresMs = expireMs > 0 ? this.#now() + expireMs : Number.POSITIVE_INFINITY;
    chain.expiresMs = isNewValue ? expiresMs : Math.min(chain.expiresMs, expiresMs);
  }

  /** memcached counts whole seconds, so that without a copy a value may go up to one early. */
  #mayBeGone({ expiresMs }: Chain): boolean {
    const earlyMs = this.#rules.durableCopies ? 0 : TTL_ROUNDING_MS;
    const canExpire = expiresMs < Number.POSITIVE_INFINITY;
    return canExpire && (this.#clockWasSet || this.#now() + earlyMs >= expiresMs);
  }

  #extend(chain: Chain, { key, jobId, sequence, token, isFencedOff }: Application): void {
    if (isFencedOff) {
      this.#violated(
        'P5',
        `${key}: job ${jobId} counts, but its token ${token} was refused outside`,
      );
    }
    if (sequence <= chain.lastSequence) {
      this.#violated(
        'P2',
        `${key}: job ${jobId} has sequence ${sequence}, after ${chain.lastSequence}`,
      );
    }
    chain.lastSequence = sequence;
    chain.jobs.push(jobId);
  }

  #chainOf(key: string): Chain {
    let chain = this.#chains.get(key);
    if (chain === undefined) {
      chain = {
        token: 0,
        value: DELETED,
        expiresMs: Number.POSITIVE_INFINITY,
        lastSequence: 0,
        strictToken: 0,
        jobs: [],
        applications: new Map(),
        suspects: new Map(),
      };
      this.#chains.set(key, chain);
    }
    return chain;
  }

  #violated(promise: string, what: string): void {
    this.violations.push({ promise, what, atMs: this.#now() });
  }
}
