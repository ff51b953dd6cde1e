import { InvalidArgumentError } from 'commander';
import type { Listening } from '../http/listening.ts';

/** Nobody else can reach it, unless that is asked for. */
const HOST_DEFAULT = '127.0.0.1';
const PORT_MAX = 65_535;

/** Reads `port` or `host:port`; an IPv6 address in brackets. */
export function addressToListenOn(flag: string): (text: string) => Listening {
  return (text) => {
    const [, bracketed, plain, digits] =
      /^(?:\[([0-9a-f:.]+)\]:|([^\s:[\]]+):)?(\d{1,5})$/i.exec(text.trim()) ?? [];
    const port = Number(digits);
    if (digits === undefined || port > PORT_MAX) {
      throw new InvalidArgumentError(
        `It must be a port from 0 to ${PORT_MAX} (0: one that is free), or host:port; 0.0.0.0:port for all addresses of this machine.`,
      );
    }
    return { flag, host: bracketed ?? plain ?? HOST_DEFAULT, port };
  };
}
