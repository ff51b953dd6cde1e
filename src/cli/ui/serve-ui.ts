/** The page on a port of this machine. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { secretText } from '../../base/random.ts';
import { createUi, type May, type Ui, type UiOptions } from '../../ui.ts';
import { isSet } from '../flags/flags.ts';
import { listen } from '../http/listening.ts';
import { operatorName } from '../lanes/acting.ts';

/** A token of the user's own; on the command line, anybody on the machine could read it. */
export const TOKEN_VARIABLE = 'TORIL_UI_TOKEN';

export interface ServeOptions {
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly may: May;
  readonly ui: Omit<UiOptions, 'tokens' | 'authorize'>;
}

export interface ServedUi {
  /** With the token in it: opening it signs you in. */
  readonly address: string;
  /** Ends live pages and connections at once. */
  close(): Promise<void>;
}

/** @throws TorilError INVALID_OPTIONS: the port is taken, or not ours to have */
export async function serveUi({ host, port, may, ui: options }: ServeOptions): Promise<ServedUi> {
  const token = ownToken();
  const ui = createUi({ ...options, tokens: [{ token, may, who: operatorName() }] });
  const server = createServer((request, response) => void ui.node(request, response));
  try {
    await listen(server, { flag: '--port', host, port });
  } catch (cause) {
    await ui.close();
    throw cause;
  }
  const { port: taken } = server.address() as AddressInfo;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    address: `http://${shownHost}:${taken}/sign-in?token=${encodeURIComponent(token)}`,
    close: () => closed(server, ui),
  };
}

async function closed(server: Server, ui: Ui): Promise<void> {
  const gone = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await Promise.all([gone, ui.close()]);
}

function ownToken(): string {
  const given = process.env[TOKEN_VARIABLE];
  return isSet(given) ? given : secretText();
}
