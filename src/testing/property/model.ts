/**
 * What a run of commands has done to a bed, and so what must come of it: the values that the jobs make one
 * after the other, in the order in which they were enqueued, with no worker, lease or retry between them.
 */
import type { AnyUpdate } from '../../updates/update.ts';
import type { JobHandle } from '../views.ts';

export interface ModelJob extends JobHandle {
  readonly update: AnyUpdate;
}

export class BedModel {
  /** In the order in which they were enqueued. */
  readonly jobs: ModelJob[] = [];
  /** Keys under which something else was written. */
  readonly foreign: Set<string> = new Set();
  /** A job may have died too often, or its worker with it. */
  hasCrashed = false;
  isMemcachedDown = false;
  /** A worker was frozen, or will be. */
  mayBeFrozen = false;
  /** The bed keeps no copies: what memcached loses is lost. */
  readonly hasCopies: boolean;

  constructor(hasCopies: boolean) {
    this.hasCopies = hasCopies;
  }

  get keys(): string[] {
    return [...new Set(this.jobs.map(({ key }) => key))];
  }

  /** Any number chooses one. */
  job(choice: number): ModelJob {
    return this.jobs[choice % this.jobs.length] as ModelJob;
  }

  key(choice: number): string {
    const { keys } = this;
    return keys[choice % keys.length] as string;
  }
}
