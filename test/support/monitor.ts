/** What Redis says that it is told to do, command by command, also by scripts (MONITOR). A connection of its own, since clients garble it. */
import { connect } from 'node:net';

export interface Monitored {
  /** In lower case. */
  readonly command: string;
  /** As bytes, one character each. */
  readonly args: readonly string[];
  /** A script told it, not a client. */
  readonly byScript: boolean;
}

/** Resolves once it listens; until it is told to stop. */
export async function monitor(
  url: string,
  hear: (told: Monitored) => void,
): Promise<{ stop(): void }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port || 6379), hostname);
  socket.on('error', () => undefined);
  let rest = '';
  await new Promise<void>((resolve) => {
    socket.on('data', (bytes) => {
      resolve();
      const lines = (rest + bytes.toString('latin1')).split('\r\n');
      rest = lines.pop() as string;
      for (const line of lines) if (line.includes('] "')) hear(read(line));
    });
    socket.write('MONITOR\r\n');
  });
  return { stop: () => void socket.destroy() };
}

const ESCAPED: Readonly<Record<string, string>> = {
  ...{ n: '\n', r: '\r', t: '\t', a: '\u0007', b: '\b' },
};

function read(line: string): Monitored {
  const at = line.indexOf('] "');
  const [command = '', ...args] = [...line.slice(at).matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(
    ([, text]) =>
      (text as string).replaceAll(/\\(x[\da-f]{2}|.)/gi, (_, code: string) =>
        code.length === 3
          ? String.fromCharCode(Number.parseInt(code.slice(1), 16))
          : (ESCAPED[code] ?? code),
      ),
  );
  return { command: command.toLowerCase(), args, byScript: line.slice(0, at).endsWith(' lua') };
}
