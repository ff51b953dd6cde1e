/** The history sorted by what the auditors ask. Pure, and shares no code with the product. */
import type { EndState } from './end-state.ts';
import type { Call, Happened, Operation, Value } from './history.ts';

export interface Violation {
  /** P1 to P9. */
  readonly promise: string;
  readonly key: string;
  readonly what: string;
}

export type Report = (promise: string, key: string, what: string) => void;

export interface Asked extends Operation {
  readonly askedUs: number;
  /** Undefined: nobody heard that it was enqueued, so it may or may not have been. */
  readonly enqueuedUs: number | undefined;
  readonly jobId: string | undefined;
  readonly by: string;
}

type TimedCall = Call & { readonly us: number; readonly by: string };
export type Read = Extract<Happened, { e: 'read' }>;
export type Loss = Extract<Happened, { e: 'lost' }>;
type GateEvent = Extract<Happened, { e: 'gate' }>;
type JobEnd = Extract<Happened, { e: 'completed' | 'failed' }>;

/** One step of a key's chain. */
export interface Step {
  readonly made: Value;
  readonly op: string;
  readonly jobId: string;
  /** All that led from the value before to this one: a batch may be folded more than once. */
  readonly calls: readonly TimedCall[];
}

export interface KeyEvidence {
  readonly key: string;
  readonly asked: readonly Asked[];
  readonly calls: readonly TimedCall[];
  readonly reads: readonly Read[];
  /** From the first update to the value of the durable copy. */
  readonly chain: readonly Step[];
  /** The same by the hash of what the step made. */
  readonly places: ReadonlyMap<string, number>;
  /** Whether the chain leads back to the beginning. */
  readonly isWhole: boolean;
}

export interface Evidence {
  readonly keys: readonly KeyEvidence[];
  readonly ends: readonly JobEnd[];
  readonly losses: readonly Loss[];
  readonly gate: readonly GateEvent[];
  readonly end: EndState;
}

export function sortEvidence(history: readonly Happened[], end: EndState): Evidence {
  const asked = new Map<string, Asked>();
  const calls: TimedCall[] = [];
  const reads: Read[] = [];
  const losses: Loss[] = [];
  const gate: GateEvent[] = [];
  const ends: JobEnd[] = [];
  for (const event of history) {
    switch (event.e) {
      case 'asked':
        asked.set(event.op, {
          ...event,
          askedUs: event.us,
          enqueuedUs: undefined,
          jobId: event.named ? event.op : undefined,
        });
        break;
      case 'enqueued': {
        const operation = asked.get(event.op);
        if (operation === undefined) break;
        asked.set(event.op, { ...operation, enqueuedUs: event.us, jobId: event.jobId });
        break;
      }
      case 'called':
        calls.push(event);
        break;
      case 'read':
        reads.push(event);
        break;
      case 'lost':
        losses.push(event);
        break;
      case 'gate':
        gate.push(event);
        break;
      case 'completed':
      case 'failed':
        ends.push(event);
        break;
      case 'fault':
        break;
    }
  }
  const askedOf = groupBy(asked.values(), ({ key }) => key);
  const callsOf = groupBy(calls, ({ key }) => key);
  const readsOf = groupBy(reads, ({ key }) => key);
  const keys = [...askedOf.keys()].map((key): KeyEvidence => {
    const own = callsOf.get(key) ?? [];
    return {
      key,
      asked: askedOf.get(key) ?? [],
      calls: own,
      reads: readsOf.get(key) ?? [],
      ...chainBehind(end.copies.get(key)?.value, own),
    };
  });
  return { keys, ends, losses, gate, end };
}

/** The hash of a value names the one before, so that the last value leads back to the first. */
function chainBehind(
  last: Value | undefined,
  calls: readonly TimedCall[],
): Pick<KeyEvidence, 'chain' | 'places' | 'isWhole'> {
  const makers = groupBy(
    calls.filter(({ made }) => made !== undefined),
    ({ made }) => (made as Value).h,
  );
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
  const places = new Map(chain.map(({ made }, at) => [made.h, at]));
  return { chain, places, isWhole: value === undefined || value.n === 0 };
}

function groupBy<Item, Key>(items: Iterable<Item>, keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
