/**
 * For a check of updates: what a process has around it, otherwise than it is. A call that gives the same in all of these
 * depends on none of them.
 */

export interface Surroundings {
  /** Milliseconds by which `Date` and `performance.now` are ahead. */
  readonly shiftMs: number;
  /** The IANA name of the process' time zone; not so in a worker thread, where Node takes no other one. */
  readonly timeZone: string;
  /** What every `Math.random()` gives. */
  readonly random: number;
}

const DAY_MS = 86_400_000;

/**
 * Two, because half of all times have the same date 14 hours to the east, and half of all thresholds are on the same side
 * of 0. Another year, month, day of the week, hour, minute and second; both ends of the day, and of `Math.random`.
 */
export const OTHER_SURROUNDINGS: readonly Surroundings[] = [
  { shiftMs: 400 * DAY_MS + 18_067_123, timeZone: 'Pacific/Kiritimati', random: 0 },
  { shiftMs: 771 * DAY_MS + 40_149_377, timeZone: 'Etc/GMT+12', random: 1 - 2 ** -53 },
];

/** The value of every variable of the environment that is not set. Those that are set are not. */
const UNSET = 'another environment';

/**
 * Calls `act` in these surroundings. Only what runs before `act` returns is affected: nobody else runs meanwhile. Changing
 * the time zone takes some 10 µs.
 */
export function within<T>({ shiftMs, timeZone, random }: Surroundings, act: () => T): T {
  const { env } = process;
  const { Date: date, performance: timer } = globalThis;
  const undo = [
    // Node tells its JavaScript engine of a new time zone as soon as it is set.
    replaced(env, 'TZ', timeZone),
    replaced(process, 'env', otherEnvironment(env)),
    replaced(globalThis, 'Date', otherDate(date, shiftMs)),
    replaced(timer, 'now', otherNow(timer, shiftMs)),
    replaced(Math, 'random', () => random),
  ];
  try {
    return act();
  } finally {
    for (const restore of undo.toReversed()) restore();
  }
}

function replaced(holder: object, name: string, value: unknown): () => void {
  const own = Object.getOwnPropertyDescriptor(holder, name);
  const shape = { configurable: true, enumerable: own?.enumerable ?? true, writable: true };
  Object.defineProperty(holder, name, { ...shape, value });
  return () => {
    if (own === undefined) Reflect.deleteProperty(holder, name);
    else Object.defineProperty(holder, name, own);
  };
}

function otherDate(real: DateConstructor, shiftMs: number): DateConstructor {
  const now = (): number => real.now() + shiftMs;
  return new Proxy(real, {
    construct: (_, args: [] | [number]) =>
      args.length === 0 ? new real(now()) : new real(...args),
    apply: () => new real(now()).toString(),
    get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
  });
}

function otherNow(timer: typeof globalThis.performance, shiftMs: number): () => number {
  const real = timer.now.bind(timer);
  return () => real() + shiftMs;
}

/** What is written to it, is there; nobody else sees it. */
function otherEnvironment(real: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return new Proxy<NodeJS.ProcessEnv>(
    {},
    {
      get(target, name) {
        if (name in target || typeof name === 'symbol') return Reflect.get(target, name) as string;
        return real[name] === undefined ? UNSET : undefined;
      },
      has: (target, name) => name in target || typeof name === 'symbol' || !(name in real),
    },
  );
}
