/** What others do to a memcached: a flush, and a flood of values that pushes older ones out. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const DEADLINE_MS = 5_000;
/** Items per write, and their sizes in bytes: of every slab class in which cells are. */
const FLOOD_ITEMS = 200;
const FLOOD_BYTES = [60, 400, 900, 2_500, 9_000, 24_000];

async function opened(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Sends a line and returns the answer, up to what `end` says. @throws if the server is not there */
export async function tell(port: number, line: string, end: RegExp = /\r\n$/): Promise<string> {
  const socket = await opened(port);
  try {
    socket.write(`${line}\r\n`);
    let answer = '';
    while (!end.test(answer)) {
      const [chunk] = (await once(socket, 'data', {
        signal: AbortSignal.timeout(DEADLINE_MS),
      })) as [Buffer];
      answer += chunk.toString();
    }
    return answer;
  } finally {
    socket.destroy();
  }
}

/** Stores values of its own for a while, as fast as the server takes them. Returns how many it pushed out. */
export async function flood(port: number, forMs: number): Promise<number> {
  const before = await evictions(port);
  const untilMs = performance.now() + forMs;
  for (let round = 0; performance.now() < untilMs; round++) {
    const bytes = FLOOD_BYTES[round % FLOOD_BYTES.length] as number;
    const items = Array.from(
      { length: FLOOD_ITEMS },
      (_, n) => `set flood:${round}:${n} 0 0 ${bytes} noreply\r\n${'x'.repeat(bytes)}\r\n`,
    );
    await tell(port, `${items.join('')}version`, /VERSION .*\r\n$/s);
  }
  return (await evictions(port)) - before;
}

async function evictions(port: number): Promise<number> {
  const stats = await tell(port, 'stats', /END\r\n$/);
  return Number(/^STAT evictions (\d+)/m.exec(stats)?.[1] ?? 0);
}
