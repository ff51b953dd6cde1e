/**
 * The chain of a key: which step followed which. Where values stay, the last value leads back to the
 * first, since each names the one before. Where they are deleted or expire, the next one begins anew and does not
 * tell of those before; there the queue's own history leads from the first to the last, and each of its steps must
 * have been called with the value that the one before had made. Pure, and shares no code with the product.
 */
import type { Commit } from './end-state.ts';
import { BRIEF_SECONDS, type Call, type Lifetime, type Value } from './history.ts';

export type TimedCall = Call & { readonly us: number; readonly by: string };

/** One step of a key's chain. */
export interface Step {
  readonly made: Value;
  readonly op: string;
  readonly jobId: string;
  /** All that led from the value before to this one: a batch may be folded more than once. */
  readonly calls: readonly TimedCall[];
}

export interface Chain {
  readonly chain: readonly Step[];
  /** The same by the hash of what the step made. */
  readonly places: ReadonlyMap<string, number>;
  /** Why it is not whole; undefined: it is. */
  readonly gap: string | undefined;
}

/** memcached counts in seconds of its own, of which the first may be short. */
const EXPIRES_EARLY_US = 1_100_000;
const NOTHING: Value = { n: 0, h: '' };

/**
 * @param last the value of the durable copy
 * @param isUntold whether the history may leave a job out, because it was gone when its commit was acknowledged
 */
export function chainOf(
  lifetime: Lifetime,
  last: Value | undefined,
  calls: readonly TimedCall[],
  commits: readonly Commit[],
  isUntold: (jobId: string) => boolean,
): Chain {
  const { chain, gap } =
    lifetime === 'lasting'
      ? chainBehind(last, calls)
      : chainAlong(lifetime, last, calls, commits, isUntold);
  return { chain, gap, places: new Map(chain.map(({ made }, at) => [made.h, at])) };
}

type Links = Pick<Chain, 'chain' | 'gap'>;

function chainBehind(last: Value | undefined, calls: readonly TimedCall[]): Links {
  const makers = new Map<string, TimedCall[]>();
  for (const call of calls) {
    if (call.made === undefined) continue;
    const others = makers.get(call.made.h);
    if (others === undefined) makers.set(call.made.h, [call]);
    else others.push(call);
  }
  const chain: Step[] = [];
  let value = last;
  while (value !== undefined && value.n > 0) {
    const leading: readonly TimedCall[] | undefined = makers.get(value.h);
    const [first] = leading ?? [];
    if (leading === undefined || first === undefined) break;
    chain.push({ made: value, op: first.op, jobId: first.jobId, calls: leading });
    value = first.saw;
  }
  chain.reverse();
  if (value === undefined || value.n === 0) return { chain, gap: undefined };
  const [first] = chain;
  const where = first === undefined ? 'the last value' : `value ${first.made.n}, by ${first.op},`;
  return { chain, gap: `${where} does not lead back to the beginning` };
}

function chainAlong(
  lifetime: Lifetime,
  last: Value | undefined,
  calls: readonly TimedCall[],
  commits: readonly Commit[],
  isUntold: (jobId: string) => boolean,
): Links {
  const chain: Step[] = [];
  const made = (): string => leftBy(chain.at(-1)?.made ?? NOTHING);
  const untold = calls.filter((call) => call.made !== undefined && isUntold(call.jobId));
  /** Jobs that the history does not tell of, if they lead to where it goes on. */
  const bridge = (to: string): void => {
    chain.push(...(pathBetween(made(), to, untold, lifetime) ?? []));
  };
  for (const [jobId, token] of commits.flatMap((commit) =>
    commit.applied.map((jobId) => [jobId, commit.token] as const),
  )) {
    // A batch that was not committed may have seen something else.
    const own = calls.filter(
      (call) => call.jobId === jobId && call.token === token && call.made !== undefined,
    );
    const brief = lifetime === 'brief' ? own.filter((call) => isExpired(chain.at(-1), call)) : [];
    if (brief.length === 0 && own[0] !== undefined) bridge(own[0].saw.h);
    const continuing = own.filter(({ saw }) => saw.h === made());
    const leading = continuing.length > 0 ? continuing : brief;
    const [first] = leading;
    if (first?.made === undefined) {
      const saw = own.map((call) => call.saw.h || 'nothing').join(', ') || 'not been called';
      return { chain, gap: `job ${jobId} was committed behind ${made()}, but has seen ${saw}` };
    }
    chain.push({ made: first.made, op: first.op, jobId, calls: leading });
  }
  if (last === undefined && lifetime === 'brief') return { chain, gap: undefined };
  bridge(last?.h ?? '');
  if ((last?.h ?? '') === made()) return { chain, gap: undefined };
  return { chain, gap: `the copy is ${last?.n} ${last?.h}, the last commit made ${made()}` };
}

/** What the next call sees. */
function leftBy(made: Value): string {
  return made.n === 0 ? NOTHING.h : made.h;
}

/** The steps from one value to another one, through these calls only; undefined: there are none. */
function pathBetween(
  from: string,
  to: string,
  calls: readonly TimedCall[],
  lifetime: Lifetime,
): readonly Step[] | undefined {
  if (from === to) return [];
  for (const { op, jobId, saw, made } of calls) {
    if (made === undefined || leftBy(made) !== to) continue;
    const others = calls.filter((call) => call.op !== op);
    const mayBegin = lifetime === 'brief' && saw.n === 0;
    const before = mayBegin ? [] : pathBetween(from, saw.h, others, lifetime);
    if (before === undefined) continue;
    const same = calls.filter((call) => call.op === op && call.made?.h === made.h);
    return [...before, { made, op, jobId, calls: same }];
  }
  return undefined;
}

/** Whether a call has rightly seen nothing behind the step. */
function isExpired(step: Step | undefined, { saw, us }: TimedCall): boolean {
  const madeUs = step?.calls[0]?.us ?? 0;
  return saw.n === 0 && us - madeUs > BRIEF_SECONDS * 1_000_000 - EXPIRES_EARLY_US;
}
