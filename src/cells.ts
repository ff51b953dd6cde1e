/**
 * `toril/cells`: what a program imports that only reads cells. Needs memcached alone, and loads neither BullMQ nor a
 * Redis client. Published as one file (scripts/package/bundle-cells.mjs), because loading 45 costs five times as much.
 * @module toril/cells
 */
export type { Cells, CellState } from './cells/cells.ts';
export { ERROR_CODES, type ErrorCode, TorilError } from './errors.ts';
export type { MemjsClient } from './memcached/memjs-settings.ts';
export type { MemcachedSetting, MemcachedSettings } from './memcached/options.ts';
export { type CellsOptions, type OpenCells, openCells } from './open-cells.ts';
export {
  type CellDefinition,
  type CellSettings,
  type CellTransactionSettings,
  type CellUpdateSettings,
  defineCell,
  type InJson,
} from './updates/cell-definition.ts';
export type { JsonProblem } from './updates/values/json-type.ts';
