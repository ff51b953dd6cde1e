/** `toril/nestjs`: queues, workers, readers of cells and their health as parts of a Nest application. @module toril/nestjs */
export {
  InjectCells,
  InjectQueue,
  InjectWorker,
  OnWorkerEvent,
  WorkerListener,
  type Injecting,
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
