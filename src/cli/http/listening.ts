/** Listening on a port, and saying what is wrong with one. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { messageOf, TorilError } from '../../errors.ts';

export interface Listening {
  /** As the user gave it, for messages. */
  readonly flag: string;
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
}

/** @throws TorilError INVALID_OPTIONS: the port is taken, or not ours to have */
export async function listen(server: Server, { flag, host, port }: Listening): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new TorilError('INVALID_OPTIONS', `${flag} ${port}: ${whyNot(cause, host)}`, { cause });
  }
}

function whyNot(cause: unknown, host: string): string {
  switch ((cause as { code?: unknown }).code) {
    case 'EADDRINUSE':
      return 'another program listens there already. Choose another port, or 0 for one that is free.';
    case 'EACCES':
      return 'this user may not listen there. Choose a port above 1023.';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${host} is no address of this machine.`;
    default:
      return messageOf(cause);
  }
}
