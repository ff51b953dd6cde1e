/**
 * A server of the meta protocol that answers as a test says, where a real memcached cannot be brought to. It
 * shares no code with the product.
 */
import type net from 'node:net';
import { listen, type Listener } from './scripted-memcached.ts';

export interface TextCommand {
  readonly line: string;
  /** Of a store; else empty. */
  readonly block: string;
  readonly socket: net.Socket;
  reply(text: string): void;
}

/** What a healthy server answers to the greeting, by the beginning of the line. */
export const HELLO: Readonly<Record<string, string>> = {
  version: 'VERSION 1.6.99\r\n',
  'mg toril:e': 'EN\r\n',
  'stats settings':
    'STAT cas_enabled yes\r\nSTAT item_size_max 1048576\r\nSTAT auth_enabled_ascii no\r\nEND\r\n',
  mn: 'MN\r\n',
  'ms toril:p 0 T1 c': 'HD c1\r\n',
  'ms toril:p 0 F4294967296': 'HD\r\n',
  'mg toril:p f': 'HD f0\r\n',
};

export interface ScriptedMeta extends Listener {
  /** Every command but those of the greeting. */
  readonly commands: readonly TextCommand[];
}

/** Passes the greeting, and leaves every other command to the script, which may answer it later, wrongly or never. */
export async function scriptedMeta(
  script: (command: TextCommand) => void,
  hello: Readonly<Record<string, string>> = HELLO,
  onPort = 0,
): Promise<ScriptedMeta> {
  const commands: TextCommand[] = [];
  const listener = await listen((socket) => {
    onCommands(socket, (command) => {
      const known = Object.keys(hello).find((start) => command.line.startsWith(start));
      if (known !== undefined) return command.reply(hello[known] ?? '');
      if (command.line === 'quit') return;
      commands.push(command);
      script(command);
    });
  }, onPort);
  return { ...listener, commands };
}

const STORE = /^(?:ms \S+ (\d+)|(?:set|add|cas) \S+ \d+ -?\d+ (\d+))/;

/** Reads the commands that come on a socket. */
function onCommands(socket: net.Socket, onCommand: (command: TextCommand) => void): void {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    for (;;) {
      const end = text.indexOf('\r\n');
      if (end === -1) return;
      const line = text.slice(0, end);
      const [, meta, classic] = STORE.exec(line) ?? [];
      const size = meta ?? classic;
      const blockEnd = size === undefined ? end : end + 2 + Number(size);
      if (text.length < blockEnd + 2) return;
      const block = size === undefined ? '' : text.slice(end + 2, blockEnd);
      text = text.slice(blockEnd + 2);
      onCommand({ line, block, socket, reply: (answer) => void socket.write(answer, 'latin1') });
    }
  });
}
