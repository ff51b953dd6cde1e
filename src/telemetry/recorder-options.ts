import type { Clock } from '../base/clock.ts';
import type { Meters } from './metrics.ts';
import type { Tracing } from './tracing.ts';

/** Where a recorder puts what it is told. */
export interface RecorderOptions {
  readonly clock: Clock;
  readonly meters: Meters;
  readonly tracing?: Tracing | undefined;
}
