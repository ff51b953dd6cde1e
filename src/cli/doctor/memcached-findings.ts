/** Of memcached: whether each server can be used, and whether the list is the one that workers use. */
import { messageOf, TorilError } from '../../errors.ts';
import type { MemcachedServer } from '../../memcached/server.ts';
import { serversIn } from '../../memcached/servers.ts';
import { bad, type Finding, good, unsure } from './finding.ts';

/** Connecting is the check: it finds out about CAS, the protocol, the login and the item size. */
export async function memcachedFinding(server: MemcachedServer): Promise<Finding> {
  const check = `memcached ${server.address}`;
  try {
    await server.connection();
  } catch (thrown) {
    const code = thrown instanceof TorilError ? `${thrown.code}: ` : '';
    return bad(check, code + messageOf(thrown), 'See docs/errors.md.');
  }
  const { version = 'of an unknown version', protocol, itemSizeMax } = server.facts ?? {};
  const size = itemSizeMax === undefined ? '' : `, items up to ${itemSizeMax} bytes`;
  return good(check, `it answers: ${version}, CAS is on, protocol ${protocol}${size}`);
}

export function listFinding(registered: string | undefined, given: string): Finding {
  if (registered === undefined)
    return unsure('server list', 'no worker has registered one yet', 'Start a worker.');
  if (registered === given) return good('server list', `as registered: ${serversIn(given)}`);
  return bad(
    'server list',
    `workers use ${serversIn(registered)}, but ${serversIn(given)} was named here`,
    'Name the same servers; to change the list: toril servers --accept.',
  );
}
