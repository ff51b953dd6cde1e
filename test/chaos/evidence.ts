/** The history sorted by what the auditors ask. Pure, and shares no code with the product. */
import { type Chain, chainOf, type Step, type TimedCall } from './chains.ts';
import type { EndState } from './end-state.ts';
import { type Happened, keysOf, lifetimeOf, type Operation } from './history.ts';
import { Meddling } from './meddling.ts';
import { Rollbacks } from './rollbacks.ts';

export type { Step } from './chains.ts';

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
  /** How often, as far as anybody knows. */
  readonly times: number;
  /** Of a flow. */
  readonly parent?: Asked | undefined;
}

export type Read = Extract<Happened, { e: 'read' }>;
export type Loss = Extract<Happened, { e: 'lost' }>;
type GateEvent = Extract<Happened, { e: 'gate' }>;
type Snapshot = Extract<Happened, { e: 'snapshot' }>;
type Strange = Extract<Happened, { e: 'strange' }>;
type JobEnd = Extract<Happened, { e: 'completed' | 'failed' }>;

export interface KeyEvidence extends Chain {
  readonly key: string;
  readonly asked: readonly Asked[];
  readonly calls: readonly TimedCall[];
  readonly reads: readonly Read[];
  /** Jobs that a stock client may have removed, or Redis forgotten. */
  readonly removed: ReadonlySet<string>;
}

export interface Evidence {
  readonly keys: readonly KeyEvidence[];
  /** By their name, and the step of each that is in a chain. */
  readonly operations: ReadonlyMap<string, Asked>;
  readonly stepOf: ReadonlyMap<string, Step>;
  readonly ends: readonly JobEnd[];
  readonly losses: readonly Loss[];
  readonly gate: readonly GateEvent[];
  readonly meddling: Meddling;
  readonly rollbacks: Rollbacks;
  /** Hashes of values that another data set made. */
  readonly strange: ReadonlySet<string>;
  readonly strangers: readonly Strange[];
  readonly snapshots: readonly Snapshot[];
  readonly end: EndState;
}

/** All of memcached's. */
const SERVERS = [0, 1];

export function sortEvidence(history: readonly Happened[], end: EndState): Evidence {
  const asked = new Map<string, Asked>();
  const calls: TimedCall[] = [];
  const reads: Read[] = [];
  const losses: Loss[] = [];
  const gate: GateEvent[] = [];
  const ends: JobEnd[] = [];
  const strangers: Strange[] = [];
  const snapshots: Snapshot[] = [];
  for (const event of history) {
    switch (event.e) {
      case 'asked':
        asked.set(event.op, {
          ...event,
          askedUs: asked.get(event.op)?.askedUs ?? event.us,
          enqueuedUs: undefined,
          jobId: event.named ? event.op : undefined,
          times: (asked.get(event.op)?.times ?? 0) + 1,
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
      case 'meddled':
        break;
      case 'snapshot':
        snapshots.push(event);
        break;
      case 'strange':
        strangers.push(event);
        break;
      case 'settled':
        // Its cell was deleted, and what had been in it is not the truth.
        for (const server of SERVERS)
          losses.push({ ...event, e: 'lost', server, fromUs: event.sinceUs });
        break;
      case 'wentBack':
        for (const server of SERVERS) losses.push({ ...event, e: 'lost', server });
        break;
    }
  }
  for (const parent of asked.values()) {
    for (const op of parent.children ?? []) {
      const child = asked.get(op);
      if (child !== undefined) asked.set(op, { ...child, parent });
    }
  }
  const askedOf = groupBy(asked.values(), keysOf);
  const callsOf = groupBy(calls, ({ key }) => [key]);
  const readsOf = groupBy(reads, ({ key }) => [key]);
  const commitsOf = groupBy(end.commits, ({ key }) => [key]);
  const meddling = new Meddling(history);
  const rollbacks = new Rollbacks(history);
  const keys = [...askedOf.keys()].map((key): KeyEvidence => {
    const own = callsOf.get(key) ?? [];
    const operations = askedOf.get(key) ?? [];
    const byOp = new Map(operations.map((operation) => [operation.op, operation]));
    const removed = new Set(
      own.flatMap(({ op, jobId }) => {
        const operation = byOp.get(op);
        if (operation === undefined) return [];
        const isGone =
          meddling.mayHave('removed', { ...operation, jobId }) || rollbacks.mayHaveLost(operation);
        return isGone ? [jobId] : [];
      }),
    );
    return {
      key,
      asked: operations,
      removed,
      calls: own,
      reads: readsOf.get(key) ?? [],
      ...chainOf(lifetimeOf(key), end.copies.get(key)?.value, own, commitsOf.get(key) ?? [], (id) =>
        removed.has(id),
      ),
    };
  });
  const stepOf = new Map(keys.flatMap(({ chain }) => chain.map((step) => [step.op, step])));
  const strange = new Set(strangers.flatMap(({ made }) => (made === undefined ? [] : [made.h])));
  return {
    keys,
    operations: asked,
    stepOf,
    ends,
    losses,
    gate,
    end,
    meddling,
    rollbacks,
    strange,
    strangers,
    snapshots,
  };
}

function groupBy<Item, Key>(
  items: Iterable<Item>,
  keysOfItem: (item: Item) => readonly Key[],
): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    for (const key of keysOfItem(item)) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [item]);
      else group.push(item);
    }
  }
  return groups;
}
