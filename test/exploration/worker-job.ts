/**
 * A worker's own job, from its first delivery until nothing more is to be done for it. BullMQ delivers it again, at once, until
 * it is decided.
 */
import type { Clock } from '../../src/base/clock.ts';
import type { Delivery } from '../../src/jobs/deliveries.ts';
import { WORKER_DEFAULTS } from '../../src/options.ts';
import type { UpdateRegistry } from '../../src/updates/update-registry.ts';
import { Intake } from '../../src/workers/deliveries/intake.ts';
import type { Gate } from '../../src/workers/gate/gate.ts';
import type { EventReporter } from '../../src/workers/worker-events.ts';
import { type DeliveryEnd, deliveryOf, ExploredDeliveries } from './deliveries.ts';
import type { ExploredRedis } from './links.ts';
import type { JobPhase, WorkerEvent, WorkerPlan } from './worker-plan.ts';

export interface WorkerJobOptions {
  readonly plan: WorkerPlan;
  readonly redis: ExploredRedis;
  /** A key has a combiner. */
  readonly isVisiting: () => boolean;
  readonly ended: (event: WorkerEvent) => void;
  /** Has a key's cell brought up, as it was before; for its job, or for nobody any more. */
  readonly bringUp: (gate: Gate, key: string, isForJob: boolean) => void;
}

export interface WorkerJobContext {
  readonly registry: UpdateRegistry;
  readonly report: EventReporter;
  readonly clock: Clock;
}

export class WorkerJob {
  readonly #options: WorkerJobOptions;
  phase: JobPhase = 'is delivered';
  /** As Redis has it; empty: the worker does not know of any. */
  outcome = '';
  /** Of a worker that goes on: this key's combiner begins, or, without a key, its job is delivered. */
  begins: (key: string | undefined) => void = () => {};

  constructor(options: WorkerJobOptions) {
    this.#options = options;
  }

  async run(gate: Gate, { registry, report, clock }: WorkerJobContext): Promise<void> {
    const { plan, redis, ended } = this.#options;
    const { jobId, keys, path, goesOn, outcome: known } = plan;
    const deliveries = new ExploredDeliveries((id, end, text) =>
      ended({ kind: 'ended', jobId: id, end, text }),
    );
    const intake = new Intake<Delivery, DeliveryEnd>({
      ...{ gate, deliveries, registry, report, clock },
      blockedMs: WORKER_DEFAULTS.blockedMs,
    });
    await this.#goesOn(gate);
    let end: DeliveryEnd = goesOn === 'is over' ? 'completed' : 'back';
    for (let times = 0; end === 'back'; times++) {
      this.phase = 'is delivered';
      const isNews = goesOn === undefined || times > 0;
      this.outcome = isNews ? await redis.deliver(jobId) : known;
      this.phase = 'waits';
      end = await intake.handle(deliveryOf(jobId, keys, this.outcome));
    }
    this.phase = 'is over';
    await gate.atRest();
    if (path === 'joint') await this.#visitsAreOver(gate);
  }

  /** Nothing happens before its job is delivered once more, or, if that is over, a key is visited. */
  #goesOn(gate: Gate): Promise<void> {
    const { plan, bringUp } = this.#options;
    const { keys, goesOn, owed = [], owedToJob = [] } = plan;
    if (goesOn === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      let isDelivered = goesOn === 'is over';
      this.begins = (key) => {
        const isItsJob = !isDelivered && key === (goesOn === 'waits' ? keys[0] : undefined);
        if (!isItsJob && key !== undefined) {
          if (owed.includes(key)) bringUp(gate, key, owedToJob.includes(key));
          else gate.visit(key);
        }
        isDelivered ||= isItsJob;
        if (isDelivered) resolve();
      };
    });
  }

  /** A turn that is over has other keys visited, each with an attempt of its own; and it says, to nobody, that cells are written. */
  async #visitsAreOver(gate: Gate): Promise<void> {
    const { redis, isVisiting } = this.#options;
    while (isVisiting() || redis.outstanding.length > 0) {
      await gate.atRest();
      await redis.idle();
    }
  }
}
