import { InvalidArgumentError } from 'commander';
import type { Listening } from '../http/listening.ts';

/** Set in the image, whose health check asks there. */
export const HTTP_VARIABLE = 'TORIL_HTTP';
/** Nobody else can reach it, unless that is asked for. */
const HOST_DEFAULT = '127.0.0.1';
const PORT_MAX = 65_535;

/** Reads `port` or `host:port`; an IPv6 address in brackets. False: nowhere, as an empty variable says. */
export function addressToListenOn(flag: string): (text: string) => Listening | false {
  return (text) => {
    if (text.trim() === '') return false;
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
