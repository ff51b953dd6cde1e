/** The probes of a worker process: they answer from before the worker is there until after it has closed. */
import { systemClock } from '../../base/clock.ts';
import { Recorder } from '../../telemetry/recorder.ts';
import type { Observer } from '../../telemetry/observer.ts';
import type { WorkerHealth } from '../../workers/health/health.ts';
import type { Worker } from '../../workers/worker.ts';
import type { Listening } from '../http/listening.ts';
import { PrometheusMeters } from '../http/prometheus.ts';
import { serveProbes } from '../http/probe-server.ts';

export interface Probes {
  /** For the worker's options. */
  readonly observer: Observer;
  readonly host: string;
  readonly port: number;
  /** Whose health it is, from now on. */
  follow(worker: Pick<Worker, 'health'>): void;
  close(): Promise<void>;
}

/** Before a worker is there. */
const STARTING: WorkerHealth = {
  live: true,
  ready: false,
  problems: [
    { concerns: 'ready', server: undefined, code: 'CLOSED', message: 'the worker is starting.' },
  ],
};

/** @throws TorilError INVALID_OPTIONS */
export async function startProbes(where: Listening): Promise<Probes> {
  const metrics = new PrometheusMeters();
  let followed: Pick<Worker, 'health'> | undefined;
  const health = (): Promise<WorkerHealth> => followed?.health() ?? Promise.resolve(STARTING);
  const { port, close } = await serveProbes({ health, metrics }, where);
  return {
    observer: new Recorder({ clock: systemClock, meters: metrics }),
    host: where.host,
    port,
    follow: (worker) => void (followed = worker),
    close,
  };
}
