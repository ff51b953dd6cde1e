/** What may be seen of users' values: all of it, unless the user's `hide` says otherwise. */
import type { LaneJobReport, LaneReport, LaneState } from '../jobs/reports/lane-report.ts';
import type { Shown, UiOptions } from './options.ts';

const HIDDEN = '(hidden)';

export class Veil {
  readonly #hide: UiOptions['hide'];
  readonly #queue: string;

  constructor(hide: UiOptions['hide'], queue: string) {
    this.#hide = hide;
    this.#queue = queue;
  }

  value(key: string, value: unknown, what: Shown['what'] = 'value'): unknown {
    if (this.#hide === undefined || value === undefined) return value;
    try {
      return this.#hide(value, { queue: this.#queue, key, what });
    } catch {
      return HIDDEN; // a message might quote what is hidden
    }
  }

  /** A text that may quote a value. */
  reason(key: string, text: string): string {
    if (text === '') return text;
    const seen = this.value(key, text, 'reason');
    return typeof seen === 'string' ? seen : HIDDEN;
  }

  report(report: LaneReport): LaneReport {
    if (this.#hide === undefined) return report;
    const { key, copy, jobs, state } = report;
    return {
      ...report,
      copy: this.value(key, copy),
      jobs: jobs.map((job) => this.#job(key, job)),
      state: this.state(key, state),
    };
  }

  state(key: string, state: LaneState): LaneState {
    if (state.kind === 'other-lane' && state.cause !== undefined) {
      const { key: its, state: cause } = state.cause;
      return { ...state, cause: { key: its, state: this.state(its, cause) } };
    }
    const about = ('key' in state ? state.key : undefined) ?? key;
    return 'reason' in state ? { ...state, reason: this.reason(about, state.reason) } : state;
  }

  #job(key: string, job: LaneJobReport): LaneJobReport {
    const { failedReason } = job;
    if (failedReason === undefined) return job;
    return { ...job, failedReason: this.reason(key, failedReason) };
  }
}
