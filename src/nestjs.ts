/** `toril/nestjs`: queues, workers, readers of cells and their health as parts of a Nest application. */
export {
  InjectCells,
  InjectQueue,
  InjectWorker,
  OnWorkerEvent,
  WorkerListener,
} from './nestjs/decorators.ts';
export { TorilHealthIndicator, type TorilHealthPart } from './nestjs/health.ts';
export type {
  QueueRegistration,
  TorilAsyncOptions,
  TorilModuleOptions,
  WorkerRegistration,
} from './nestjs/options.ts';
export { CELLS_TOKEN, getQueueToken, getWorkerToken } from './nestjs/tokens.ts';
export { TorilModule } from './nestjs/toril-module.ts';
