/** A worker's log: a line per event, for people or (--json) for programs. */
import { ForgetfulMap } from '../../base/forgetful-map.ts';
import { messageOf } from '../../errors.ts';
import type { WorkerEvents } from '../../workers/worker-events.ts';
import type { Worker } from '../../workers/worker.ts';
import { isTorilError } from '../terminal/failure.ts';
import { colours, print, printJson } from '../terminal/terminal.ts';

type Fields = Readonly<Record<string, unknown>>;
type Level = 'info' | 'warning' | 'error';

interface Described {
  readonly words: string;
  readonly level: Level;
  /** Told only with --verbose: it happens all the time. */
  readonly ordinary?: boolean;
  /** Comes again and again until somebody acts: told once a minute, unless --verbose. */
  readonly lasting?: boolean;
}

const LASTING_EVERY_MS = 60_000;
/** Lasting events that are remembered; beyond that, some are told again too early. */
const REMEMBERED_MAX = 10_000;

/** Every event, in people's words. */
const EVENTS: Readonly<Record<keyof WorkerEvents, Described>> = {
  serverUnavailable: { words: 'server unavailable', level: 'warning' },
  serverAvailable: { words: 'server available', level: 'info' },
  jobsNotGivenBack: { words: 'jobs not given back', level: 'warning' },
  leaseTakenOver: { words: 'lease taken over', level: 'warning' },
  leaseLost: { words: 'lease lost', level: 'warning' },
  commitRefused: { words: 'commit refused', level: 'warning' },
  acknowledgementRefused: { words: 'acknowledgement refused', level: 'warning' },
  commitRecovered: { words: 'commit recovered', level: 'warning' },
  jobsForgotten: { words: "a commit's jobs forgotten", level: 'error' },
  redisReplaced: { words: 'redis replaced', level: 'error' },
  cellRestored: { words: 'cell restored', level: 'warning' },
  cellLost: { words: 'cell lost', level: 'error' },
  cellAdopted: { words: 'cell adopted', level: 'info' },
  laneHeld: { words: 'lane held', level: 'error', lasting: true },
  updateUnknown: { words: 'update unknown', level: 'warning', lasting: true },
  fastPathOff: { words: 'fast path off', level: 'info' },
  jobsMissing: { words: 'jobs missing', level: 'warning' },
  jobsNotApplied: { words: 'jobs not applied', level: 'error' },
  keyChanged: { words: 'key changed', level: 'error' },
  updateChangesData: { words: "an update changes its job's data", level: 'warning' },
  jobSnoozed: { words: 'job snoozed', level: 'info', ordinary: true },
  redisRefused: { words: 'Redis refused', level: 'warning', lasting: true },
  unavailable: { words: 'unavailable', level: 'warning', lasting: true },
  logLost: { words: 'row of a log lost', level: 'warning' },
  internalFault: { words: "Toril's own fault", level: 'error' },
  committed: { words: 'committed', level: 'info', ordinary: true },
  cellsSettled: { words: 'cells settled', level: 'warning' },
  laneWaits: { words: 'lane waits', level: 'info', ordinary: true },
};

export interface WorkerLogOptions {
  readonly json: boolean;
  readonly verbose: boolean;
}

export class WorkerLog {
  readonly #options: WorkerLogOptions;
  readonly #toldAtMs = new ForgetfulMap<string, number>(REMEMBERED_MAX);

  constructor(options: WorkerLogOptions) {
    this.#options = options;
  }

  /** `event`: its name for programs; `words`: for people. */
  write(event: string, words: string, level: Level, fields: Fields): void {
    const now = new Date();
    if (this.#options.json) return printJson({ time: now.toISOString(), event, ...fields });
    const time = colours.out.dim(now.toTimeString().slice(0, 8));
    const shown = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${colours.out.dim(`${name}=`)}${asText(value)}`);
    print([time, painted(words.padEnd(18), level), ...shown].join(' '));
  }

  /** Tells what the worker does from now on. */
  follow(worker: Worker): void {
    for (const name of Object.keys(EVENTS) as (keyof WorkerEvents)[]) {
      const { words, level, ordinary = false, lasting = false } = EVENTS[name];
      if (ordinary && !this.#options.verbose) continue;
      worker.on(name, (event: WorkerEvents[keyof WorkerEvents]) => {
        const fields = fieldsOf(event);
        if (lasting && this.#wasTold(name, fields)) return;
        this.write(name, words, level, fields);
      });
    }
    worker.on('failed', (job, error) => {
      this.write('jobFailed', 'job failed', 'error', { ...aboutJob(job), reason: error.message });
    });
    worker.on('error', (error) => this.error(error));
    if (!this.#options.verbose) return;
    worker.on('completed', (job) => {
      this.write('jobCompleted', 'job completed', 'info', aboutJob(job));
    });
  }

  error(thrown: unknown): void {
    const code = isTorilError(thrown) ? thrown.code : undefined;
    if (this.#wasTold('error', { reason: messageOf(thrown) })) return;
    this.write('error', 'error', 'error', { code, message: messageOf(thrown) });
  }

  /** Within the last minute. */
  #wasTold(name: string, { key, jobId, code, reason }: Fields): boolean {
    if (this.#options.verbose) return false;
    const what = JSON.stringify([name, key, jobId, code, reason]);
    const nowMs = performance.now();
    const toldAtMs = this.#toldAtMs.get(what);
    if (toldAtMs !== undefined && nowMs - toldAtMs < LASTING_EVERY_MS) return true;
    this.#toldAtMs.set(what, nowMs);
    return false;
  }
}

interface KnownJob {
  readonly id?: string | undefined;
  readonly name: string;
  readonly attemptsMade: number;
}

function aboutJob(job: KnownJob | undefined): Fields {
  if (job === undefined) return {};
  return { jobId: job.id, name: job.name, attemptsMade: job.attemptsMade };
}

/** Errors do not survive JSON.stringify. */
function fieldsOf(event: WorkerEvents[keyof WorkerEvents]): Fields {
  if (!('cause' in event)) return { ...event };
  const { cause, ...rest } = event;
  return { ...rest, code: cause.code, reason: cause.message };
}

function painted(words: string, level: Level): string {
  if (level === 'info') return words;
  return level === 'warning' ? colours.out.yellow(words) : colours.out.red(words);
}

function asText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"]+$/.test(text) ? text : JSON.stringify(text);
}
