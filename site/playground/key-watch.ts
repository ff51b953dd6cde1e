/** How the keys of a run stand: what is kept of each in Redis and in memcached. */
import { decodeItem } from '../../src/cells/envelope.ts';
import type { Copy } from '../../src/jobs/lane.ts';
import type { Note } from '../../test/simulation/trace.ts';
import type { World } from '../../test/simulation/world.ts';

export interface KeyState {
  readonly key: string;
  /** The jobs in its lane, in order. */
  readonly lane: readonly string[];
  /** The jobs that made the value, in order; or what stands there instead. */
  readonly cell: Value;
  readonly copy: Value;
  /** The process that holds the lease; undefined: nobody does. */
  readonly holder: string | undefined;
}

/** `token`: of the commit that made it. */
export type Value =
  | { readonly jobs: readonly string[]; readonly token: number }
  | { readonly none: string };

const ALL = 10_000;
/** Whoever's write of a lock is carried out has it. */
const LOCKED = /^(?:add|replace) toril:lock:(\S+).*: #\d+$/;

export class KeyWatch {
  #states: readonly KeyState[] = [];
  #text = '';
  readonly #lockedBy = new Map<string, string>();

  get states(): readonly KeyState[] {
    return this.#states;
  }

  look({ who, what }: Note, world: World): void {
    const [, locked] = LOCKED.exec(what) ?? [];
    if (locked !== undefined) this.#lockedBy.set(locked, who);
    const states = world.keys.map((key) => this.#stateOf(key, world));
    const text = JSON.stringify(states);
    if (text === this.#text) return;
    this.#text = text;
    this.#states = states;
  }

  #stateOf(key: string, world: World): KeyState {
    const { store, cell, lock } = world.itemsOf(key);
    const { head, copy } = world.jobs.inspect(key, ALL);
    const item = store.peek(cell);
    return {
      key,
      lane: head.map(({ jobId }) => jobId),
      cell: item === undefined ? { none: 'missing' } : cellValue(decodeItem(item)),
      copy: copyValue(copy),
      holder: store.peek(lock) === undefined ? undefined : (this.#lockedBy.get(key) ?? 'somebody'),
    };
  }
}

function cellValue(content: ReturnType<typeof decodeItem>): Value {
  if (content.kind !== 'envelope') return { none: content.kind };
  const { value, token } = content.envelope;
  return value === undefined ? { none: 'deleted' } : { jobs: jobsIn(value), token };
}

function copyValue({ value, token }: Copy): Value {
  if (typeof value === 'object') return { jobs: jobsIn(JSON.parse(value.json)), token };
  return { none: token === 0 ? 'none yet' : value };
}

/** As the simulated updates make it. */
function jobsIn(value: unknown): readonly string[] {
  return (value as { readonly jobs?: readonly string[] } | null)?.jobs ?? [];
}
