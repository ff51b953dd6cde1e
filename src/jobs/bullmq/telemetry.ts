/**
 * A user's telemetry as BullMQ calls it, in the middle of whatever it does. If it throws, that is told, and all goes on:
 * an exporter that fails must not have a job fail that is in its value.
 */
import type { JobsOptions, Telemetry } from 'bullmq';
import { isError, messageOf } from '../../errors.ts';

type ContextManager = Telemetry['contextManager'];
type Tell = (error: Error) => void;
type Callable = (...args: unknown[]) => unknown;

/** The same telemetry, which never throws. `tell` gets each error, those of the same message once. */
export function tolerantTelemetry(telemetry: Telemetry, tell: Tell): Telemetry {
  const told = new Set<string>();
  const tellOnce = (thrown: unknown): void => {
    const message = messageOf(thrown);
    if (told.size >= MESSAGES_MAX || told.has(message)) return;
    told.add(message);
    tell(isError(thrown) ? thrown : new Error(message));
  };
  const { tracer, contextManager, meter } = telemetry;
  const contexts = guarded(contextManager, tellOnce, () => undefined);
  return {
    tracer: guarded(tracer, tellOnce, () => NO_SPAN, true),
    contextManager: Object.create(contexts, {
      with: { value: within(contextManager, tellOnce) },
    }) as ContextManager,
    ...(meter && { meter: guarded(meter, tellOnce, () => NO_INSTRUMENT, true) }),
  };
}

/** Calls what belongs to a job in the context that its producer's telemetry left with it. */
export function inTraceOf({ contextManager }: Telemetry): <T>(trace: string, call: () => T) => T {
  return (trace, call) =>
    contextManager.with(contextManager.fromMetadata(contextManager.active(), trace), call);
}

/** Different messages that are told at most. */
const MESSAGES_MAX = 100;
const ignore = (): void => undefined;
const NO_SPAN = {
  setSpanOnContext: (context: unknown) => context,
  setAttribute: ignore,
  setAttributes: ignore,
  addEvent: ignore,
  recordException: ignore,
  end: ignore,
};
const NO_INSTRUMENT = { add: ignore, record: ignore };

/** @param isMaker what its methods return is guarded, too */
function guarded<T extends object>(
  target: T,
  tell: (thrown: unknown) => void,
  instead: (args: unknown[]) => unknown,
  isMaker: boolean = false,
): T {
  // Not of the target itself: what is frozen there must be shown as it is.
  return new Proxy({} as T, {
    get(_, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        try {
          const made = (member as Callable).apply(target, args);
          // A span's `setSpanOnContext` returns a context: the one it was given will do.
          return isMaker && typeof made === 'object' && made !== null
            ? guarded(made, tell, ([context]) => context)
            : made;
        } catch (thrown) {
          tell(thrown);
          return instead(args);
        }
      };
    },
  });
}

/** Runs `run` once, whatever the manager does. */
function within(manager: ContextManager, tell: (thrown: unknown) => void): ContextManager['with'] {
  return (context, run) => {
    let ran: { readonly value: unknown } | { readonly thrown: unknown } | undefined;
    const runOnce = (): unknown => {
      try {
        const value: unknown = run();
        ran = { value };
        return value;
      } catch (thrown) {
        ran = { thrown };
        throw thrown;
      }
    };
    try {
      manager.with(context, runOnce);
    } catch (thrown) {
      if (ran === undefined || 'value' in ran) tell(thrown);
    }
    if (ran === undefined) return run() as never;
    if ('thrown' in ran) throw ran.thrown;
    return ran.value as never;
  };
}

/** The options of a job with which a trace is left. One that the job's producer gives itself, and its wish that none be left, count. */
export function withTrace(
  options: JobsOptions | undefined,
  trace: string | undefined,
): JobsOptions | undefined {
  const { metadata, omitContext } = options?.telemetry ?? {};
  if (trace === undefined || metadata !== undefined || omitContext === true) return options;
  return { ...options, telemetry: { metadata: trace } };
}
