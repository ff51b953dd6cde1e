/**
 * BullMQ's own scripts as parts of scripts of ours: whatever its version, its code then runs within our step,
 * and nothing of it is imitated.
 */
import { RedisConnection } from 'bullmq';

interface BullScript {
  readonly numberOfKeys: number;
  readonly lua: string;
}

let known: ReadonlyMap<string, BullScript> | undefined;

/** As BullMQ registers it with its clients, whatever the driver. */
export function bullScript(name: string): BullScript {
  known ??= registered();
  const script = known.get(name);
  if (script === undefined) throw new Error(`this version of BullMQ has no script "${name}"`);
  return script;
}

/** A fragment: the script as a function of KEYS and ARGV. */
export function bullFunctionLua(name: string): string {
  return `local function ${name}(KEYS, ARGV)\n${bullScript(name).lua}\nend\n`;
}

/** Every script that BullMQ would define on a client; this one only writes them down. */
function registered(): ReadonlyMap<string, BullScript> {
  const scripts = new Map<string, BullScript>();
  const client = {
    defineCommand: (command: string, { numberOfKeys, lua }: BullScript) =>
      scripts.set(command.slice(0, command.lastIndexOf(':')), { numberOfKeys, lua }),
  };
  const { loadCommands } = RedisConnection.prototype as unknown as {
    loadCommands(this: object, version: string): void;
  };
  loadCommands.call({ _client: client }, 'any');
  return scripts;
}
