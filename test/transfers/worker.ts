/** A worker that carries out transfers, in a process of its own. */
import { Worker, type WorkerOptions } from '../../src/index.ts';
import { transfer } from './ledger.ts';

export interface WorkerOrders {
  readonly queue: string;
  readonly options: Omit<WorkerOptions, 'updates'>;
}

const { queue, options } = JSON.parse(process.argv[2] as string) as WorkerOrders;
const worker = new Worker(queue, { ...options, updates: [transfer] });
worker.on('error', () => undefined);
process.on('disconnect', () => process.exit());
await worker.waitUntilReady();
process.send?.('ready');
