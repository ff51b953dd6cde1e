/**
 * A random walk through the contract of lanes. Run on two engines with the same seed, it must leave
 * the same transcript: what no case of the suite thought of. Tokens and sequences differ between
 * engines, but not the order in which they are drawn, so each is written down as the how-manieth
 * number that was met.
 */
import { type HistoryNote, valueHash } from '../../src/history/history.ts';
import type { Acknowledgement, Taken } from '../../src/jobs/lanes.ts';
import type { LaneEntry } from '../../src/jobs/lane.ts';
import type { HeadFacts, LaneFacts } from '../../src/jobs/reports/lane-views.ts';
import { committing, type Stage, taking } from './lanes.suite.ts';

const KEYS = ['k1', 'k2'];
const DECISIONS = ['a', 'a{"r":1}', 'm', 's', 'hno', 'f{"code":"X"}', 'c{"code":"X"}'];
/** Takes that are remembered, so that stale ones are acknowledged, too. */
const TAKES_KEPT = 4;

interface Step {
  readonly key: string;
  readonly taken: Taken;
}

export class LaneScript {
  readonly #stage: Stage;
  readonly #fraction: () => number;
  readonly #names = new Map<number, string>();
  readonly #takes: Step[] = [];
  readonly #acknowledged: Acknowledgement[] = [];
  #jobs = 0;

  constructor(stage: Stage, fraction: () => number) {
    this.#stage = stage;
    this.#fraction = fraction;
  }

  async run(steps: number): Promise<unknown[]> {
    const transcript: unknown[] = [];
    for (let step = 0; step < steps; step++) {
      transcript.push(await this.#step());
      if (step % 3 === 0) transcript.push(await this.#views());
    }
    return [...transcript, ...(await this.#history())];
  }

  /** What the index says of all lanes, and pages of it. */
  async #views(): Promise<unknown> {
    const { views } = this.#stage;
    const { keys, held, runnable, oldest, oldestRunnable } = await views.counts();
    const pages = [];
    for (const state of ['all', 'held', 'runnable'] as const) {
      for (const order of state === 'all'
        ? (['oldest', 'newest'] as const)
        : (['oldest'] as const)) {
        const request = { state, order, limit: 1, search: '', after: undefined };
        const first = await views.page(request);
        const { lanes } = first;
        if (first.last === undefined) pages.push(lanes.map((lane) => this.#facts(lane)));
        else {
          const second = await views.page({ ...request, after: first.last });
          pages.push(
            [...lanes, ...second.lanes].map((lane) => this.#facts(lane)),
            second.last,
          );
        }
      }
    }
    const heads = [oldest, oldestRunnable].map((head) => head && [head.key, head.jobId]);
    return { keys, held, runnable, heads, pages };
  }

  /** Without what a stage does not play: BullMQ's lists. */
  #facts({ key, length, token, paceMs, head, inHand }: LaneFacts): unknown {
    const { jobId, sequence, name, attemptsMade, failedReason, directive } = head as HeadFacts;
    const facts = [jobId, this.#name(sequence), name, attemptsMade, failedReason, directive];
    const last = inHand && this.#name(inHand.lastSequence);
    return { key, length, token: this.#name(token), paceMs, facts, last };
  }

  async #history(): Promise<unknown[]> {
    const { entries } = await this.#stage.history.read({ after: 0 });
    return entries.map(({ token, base, watermark, jobs, ...rest }) => ({
      ...rest,
      id: undefined, // each engine's own
      numbers: [token, base, watermark].map((number) => this.#name(number)),
      jobs: jobs.map((job) => ({ ...job, sequence: this.#name(job.sequence) })),
    }));
  }

  #note(value: Acknowledgement['value'], taken: Taken): HistoryNote | undefined {
    if (this.#fraction() < 0.3) return undefined;
    const hash = valueHash(value === 'deleted' ? undefined : JSON.stringify(value));
    const attempts = this.#pick([new Map(taken.entries.map(({ jobId }) => [jobId, 7])), undefined]);
    return {
      hash,
      attempts,
      origin: this.#pick([
        'base',
        'base',
        'base',
        'nothing',
        'unknown',
        { adopted: '{}' },
      ] as const),
      value: this.#pick([undefined, undefined, { json: '"full"' }]),
      lengthMax: 1_000_000,
      ageMs: 0,
    };
  }

  #step(): Promise<unknown> {
    const draw = this.#fraction();
    if (draw < 0.3) return this.#take();
    if (draw < 0.55) return this.#acknowledge();
    if (draw < 0.75) return this.#add();
    if (draw < 0.8) return this.#locate();
    if (draw < 0.85) return this.#inspect();
    if (draw < 0.9) return this.#startAlone();
    if (draw < 0.95) return this.#direct();
    if (draw < 0.97) return this.#stage.removeJob(this.#anyJob());
    return this.#stage.forgetEntry(this.#anyJob());
  }

  #direct(): Promise<unknown> {
    const directive = this.#pick(['skip', 'drop', 'deliver'] as const);
    return this.#stage.lanes.direct(this.#anyJob(), directive);
  }

  async #startAlone(): Promise<unknown> {
    const jobId = this.#anyJob();
    const survived = this.#pick([[], [], [this.#below(9) + 1], [this.#below(9) + 1, 9]]);
    if (this.#fraction() < 0.3) return this.#stage.other.noteSurvived(jobId, survived);
    if (this.#fraction() < 0.5)
      await this.#stage.changeJob(jobId, {
        stalls: this.#below(4) + 1,
        attemptsMade: this.#below(2),
      });
    return this.#stage.lanes.startAlone(jobId, this.#below(9) + 1, survived, this.#below(4));
  }

  async #add(): Promise<string> {
    const jobId = `job${++this.#jobs}`;
    const finished = this.#pick(['no', 'no', 'no', 'completed', 'failed']);
    await this.#stage.addJob(jobId, {
      data: JSON.stringify('x'.repeat(this.#below(20))),
      attemptsMade: this.#below(2),
      stalls: this.#below(2),
      failedReason: this.#pick(['', 'why']),
      finished,
      dueMs: finished === 'no' ? this.#pick([0, 0, 4_000_000_000_000]) : 0,
    });
    return jobId;
  }

  async #take(): Promise<unknown> {
    const key = this.#pick(KEYS);
    const copies = this.#takes.filter((step) => step.key === key).map(({ taken }) => taken);
    const cell = this.#pick([
      undefined,
      ...copies.map(({ token, copy }) => ({ token, base: copy.token })),
    ]);
    const taken = await this.#stage.lanes.take(
      taking({
        key,
        cell,
        arrivals: Array.from({ length: this.#below(3) }, () => this.#anyJob()),
        jobsMax: this.#pick([1, 3, 100]),
        dataMax: this.#pick([1, 30, 1000]),
      }),
    );
    this.#takes.push({ key, taken });
    if (this.#takes.length > TAKES_KEPT) this.#takes.shift();
    const { token, copy, entries, expiresInMs, headDueInMs, dataSet, ...rest } = taken;
    return {
      token: this.#name(token),
      copy: this.#copy(copy),
      entries: entries.map((entry) => this.#entry(entry)),
      expires: expiresInMs > 0,
      dataSet: dataSet.id !== '',
      headWaits: headDueInMs > 0,
      ...rest,
    };
  }

  async #acknowledge(): Promise<unknown> {
    const step = this.#pick([undefined, ...this.#takes]);
    const again = this.#pick(this.#acknowledged);
    if (step === undefined) {
      return again === undefined ? 'nothing yet' : this.#stage.other.acknowledge(again);
    }
    const { taken } = step;
    const decisions = new Map(
      taken.entries.map(({ jobId }) => [jobId, this.#pick(DECISIONS)] as const),
    );
    const value = this.#pick(['deleted', 'not-kept', { json: String(this.#below(100)) }] as const);
    const watermark = this.#pick(taken.entries)?.sequence ?? taken.copy.watermark;
    const own = taken.entries.filter(({ sequence }) => sequence <= watermark);
    const sequences = own.map(({ sequence }) => sequence);
    const commit = committing({
      key: step.key,
      dataSet: taken.dataSet.id,
      base: taken.copy.token,
      token: taken.token,
      watermark,
      // Now and then one too few: others leave with the commit.
      decided: this.#pick([own.length, own.length, own.length, Math.max(0, own.length - 1)]),
      sequences: this.#pick([undefined, undefined, sequences, sequences.slice(1)]),
      late: this.#pick([undefined, new Map(own.map(({ jobId, sequence }) => [jobId, sequence]))]),
      value,
      history: this.#note(value, taken),
      expireMs: this.#pick([0, 0, 3_600_000]),
      paceMs: this.#below(10) / 3,
      decisions,
    });
    this.#acknowledged.push(commit);
    const answer = await this.#stage.lanes.acknowledge(commit);
    return [answer, (await this.#stage.delayed()).toSorted()];
  }

  #locate(): Promise<unknown> {
    return this.#stage.lanes.locate(this.#pick(KEYS), this.#anyJob());
  }

  async #inspect(): Promise<unknown> {
    const {
      copy,
      head,
      dataSet,
      nextToken: _,
      ...rest
    } = await this.#stage.other.inspect(this.#pick(KEYS), 5);
    const jobs = head.map(({ jobId, sequence }) => [jobId, this.#name(sequence)]);
    return { copy: this.#copy(copy), jobs, dataSet: dataSet.id !== '', ...rest };
  }

  #copy({ token, watermark, cascadeTo, value }: Taken['copy']): unknown {
    const [tokenName, watermarkName, cascade] = [token, watermark, cascadeTo].map((number) =>
      this.#name(number),
    );
    return { tokenName, watermarkName, cascade, value };
  }

  #entry({ sequence, ...rest }: LaneEntry): unknown {
    return { sequence: this.#name(sequence), ...rest };
  }

  #name(number: number): string {
    if (number === 0) return 'none';
    const known = this.#names.get(number) ?? `number ${this.#names.size}`;
    this.#names.set(number, known);
    return known;
  }

  #anyJob(): string {
    return `job${1 + this.#below(this.#jobs + 1)}`;
  }

  #below(limit: number): number {
    return Math.floor(this.#fraction() * limit);
  }

  #pick<const T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)] as T;
  }
}
