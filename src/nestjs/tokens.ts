/** What Nest knows Toril's providers by: for `overrideProvider`, and for providers of your own. */
export function getQueueToken(name: string): string {
  return `TorilQueue_${name}`;
}

export function getWorkerToken(queue: string): string {
  return `TorilWorker_${queue}`;
}

export const CELLS_TOKEN = 'TorilCells';
/** What `forRoot` was given. */
export const SHARED_TOKEN = 'TorilShared';
