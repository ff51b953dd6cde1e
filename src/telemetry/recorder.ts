/** The observer that makes metrics and spans of what it is told. */
import type { ObservedWorker, Observer, QueueObserver, WorkerObserver } from './observer.ts';
import { QueueRecorder } from './queue-recorder.ts';
import type { RecorderOptions } from './recorder-options.ts';
import { WorkersRecorder } from './workers-recorder.ts';

/** What is told of queues of one name is one series, however many objects tell it. */
export class Recorder implements Observer {
  readonly #queue: (name: string) => QueueRecorder;
  readonly #workers: (queue: string) => WorkersRecorder;

  constructor(options: RecorderOptions) {
    this.#queue = oncePerName((name) => new QueueRecorder(name, options));
    this.#workers = oncePerName((queue) => new WorkersRecorder(queue, options));
  }

  queue(name: string): QueueObserver {
    return this.#queue(name);
  }

  worker(site: ObservedWorker): WorkerObserver {
    return this.#workers(site.queue).observe(site);
  }
}

function oncePerName<Made>(make: (name: string) => Made): (name: string) => Made {
  const made = new Map<string, Made>();
  return (name) => {
    let known = made.get(name);
    if (known === undefined) {
      known = make(name);
      made.set(name, known);
    }
    return known;
  };
}
