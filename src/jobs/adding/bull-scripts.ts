/** The texts of BullMQ's own scripts, of the version that is installed, whatever driver runs them. */
import { RedisConnection } from 'bullmq';
import { assert } from '../../base/assert.ts';
import { ADD_SCRIPTS, type BullScripts } from '../scripts/add.ts';

/** What BullMQ does with its scripts when it has connected. */
interface Loading {
  loadCommands(this: { readonly _client: object }, version: string): void;
}

let found: BullScripts | undefined;

/** BullMQ names no script to others, but hands each to its client: here, to one that only listens. */
export function bullAddScripts(): BullScripts {
  found ??= findScripts(ADD_SCRIPTS);
  return found;
}

function findScripts(names: readonly string[]): BullScripts {
  const all = new Map<string, string>();
  const _client = {
    defineCommand: (name: string, { lua }: { lua: string }) => void all.set(name, lua),
  };
  (RedisConnection.prototype as unknown as Loading).loadCommands.call({ _client }, '');
  return new Map(
    names.map((name) => {
      const text = all.get(`${name}:`);
      assert(text !== undefined, `BullMQ has a script "${name}"`);
      return [name, text];
    }),
  );
}
