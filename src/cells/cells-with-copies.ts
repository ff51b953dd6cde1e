/**
 * Cells for readers that want more than memcached has: where a cell is missing, out of reach, or not to be
 * believed, the durable copy in Redis says what was last acknowledged. Redis is asked only then, and once in the
 * beginning, to learn its data set's name: a cell of another one is not this queue's.
 */
import type { MemcachedServers } from '../memcached/servers.ts';
import { TorilError } from '../errors.ts';
import { checkKey } from '../key.ts';
import { Cells, type CellState, type FoundCell } from './cells.ts';
import type { Copies, Copy, ReadCopies } from './copies.ts';

/** A cell, or why there is none. */
type Look = FoundCell | undefined | Error;
type Answer = CellState<unknown> | undefined | Error;

export class CellsWithCopies extends Cells {
  readonly #copies: Copies;
  /** As Redis told it last. */
  #dataSet: string | undefined;

  constructor(servers: MemcachedServers, copies: Copies) {
    super(servers);
    this.#copies = copies;
  }

  protected override async stateOf(key: string): Promise<CellState<unknown> | undefined> {
    const answer = (await this.#readAll([key])).get(key);
    if (answer instanceof Error) throw answer;
    return answer;
  }

  protected override async valuesOf(wanted: readonly string[]): Promise<Map<string, unknown>> {
    const values = new Map<string, unknown>();
    for (const [key, answer] of await this.#readAll(wanted)) {
      if (answer instanceof Error) throw answer;
      if (answer?.value !== undefined) values.set(key, answer.value);
    }
    return values;
  }

  async #readAll(keys: readonly string[]): Promise<Map<string, Answer>> {
    keys.forEach(checkKey);
    const looks = await Promise.all(keys.map((key) => this.find(key).catch(asError)));
    const answers = new Map<string, Answer>();
    const open = new Map<string, Look>();
    for (const [at, key] of keys.entries()) {
      const look = looks[at];
      const own = this.#ownState(look);
      if (own === undefined) open.set(key, look);
      else answers.set(key, own);
    }
    if (open.size === 0) return answers;
    const read = await this.#copies.read([...open.keys()]).catch(asError);
    if (!(read instanceof Error)) this.#dataSet = read.dataSet;
    for (const [key, look] of open) answers.set(key, this.#answer(key, look, read));
    return answers;
  }

  #ownState(look: Look): CellState<unknown> | undefined {
    if (look === undefined || look instanceof Error) return undefined;
    const isOwn = look.queue === this.#copies.queue && look.dataSet === this.#dataSet;
    return isOwn ? look.state : undefined;
  }

  #answer(key: string, look: Look, read: ReadCopies | Error): Answer {
    const own = this.#ownState(look); // since Redis was asked
    if (own !== undefined) return own;
    if (read instanceof Error) {
      // Whose it is cannot be told now; nothing speaks against it, and it is better than nothing.
      const isBelieved = look !== undefined && !(look instanceof Error);
      return isBelieved && look.queue === this.#copies.queue ? look.state : read;
    }
    const copy = read.copies.get(key);
    if (copy !== undefined) return stateOfCopy(key, copy);
    // Nothing was acknowledged, so nothing is: what is there belongs to somebody else, or is a lock's.
    if (look === undefined || look instanceof Error) return look;
    return look.queue === '' ? look.state : elsewhere(key, look, this.#copies.queue);
  }
}

function stateOfCopy(key: string, { token, watermark, value }: Copy): Answer {
  if (value === 'not-kept') {
    return new TorilError(
      'COPY_NOT_KEPT',
      `memcached has no cell of "${key}" that can be believed, and the queue keeps no copies (durableCopies: false): its value is not known until its next update.`,
    );
  }
  const decoded: unknown = value === 'deleted' ? undefined : JSON.parse(value.json);
  return { value: decoded, token, watermark, source: 'copy' };
}

function elsewhere(key: string, { queue }: FoundCell, ours: string): TorilError {
  if (queue !== ours) {
    return new TorilError(
      'CELL_OF_ANOTHER_QUEUE',
      `the cell of "${key}" belongs to the queue "${queue}", not to "${ours}".`,
    );
  }
  return new TorilError(
    'CELL_OF_ANOTHER_REDIS',
    `the cell of "${key}" was committed with another Redis than the one that "copies" names, which knows nothing of the key.`,
  );
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
