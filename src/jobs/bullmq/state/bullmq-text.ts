/**
 * BullMQ's own scripts as parts of scripts of ours: whatever its version, its code then runs within our step,
 * and nothing of it is imitated.
 */
import { RedisConnection } from 'bullmq';
import type { BullScriptName } from './layout.ts';
import type { Script } from '../../redis/scripts/script.ts';

interface BullScript {
  readonly numberOfKeys: number;
  readonly lua: string;
}

let known: ReadonlyMap<string, BullScript> | undefined;

/** As BullMQ registers them with its clients, whatever the driver. None, if it registers them otherwise by now. */
export function bullScripts(): ReadonlyMap<string, BullScript> {
  known ??= registered();
  return known;
}

export function bullScript(name: BullScriptName): BullScript {
  const script = bullScripts().get(name);
  if (script === undefined) throw new Error(`this version of BullMQ has no script "${name}"`);
  return script;
}

/** A fragment: the script as a function of KEYS and ARGV. */
export function bullFunctionLua(name: BullScriptName): string {
  return `local function ${name}(KEYS, ARGV)\n${bullScript(name).lua}\nend\n`;
}

/** A script of ours that has one of BullMQ's in it, made when it is first needed: by then it is known that BullMQ has that. */
export function madeLater(name: string, make: () => Omit<Script, 'name'>): Script {
  let made: Omit<Script, 'name'> | undefined;
  const script = (): Omit<Script, 'name'> => (made ??= make());
  return {
    name,
    get numberOfKeys() {
      return script().numberOfKeys;
    },
    get lua() {
      return script().lua;
    },
  };
}

/** Every script that BullMQ would define on a client; this one only writes them down. */
function registered(): ReadonlyMap<string, BullScript> {
  const scripts = new Map<string, BullScript>();
  const client = {
    defineCommand: (command: string, { numberOfKeys, lua }: BullScript) =>
      scripts.set(command.slice(0, command.lastIndexOf(':')), { numberOfKeys, lua }),
  };
  const { loadCommands } = RedisConnection.prototype as unknown as {
    loadCommands?(this: object, version: string): void;
  };
  loadCommands?.call({ _client: client }, 'any');
  return scripts;
}
