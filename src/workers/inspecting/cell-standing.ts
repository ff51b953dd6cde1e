/** What a worker would make of a key's cell right now. Read without the lease: a picture, no proof. */
import { reconcile, strangers } from '../../cells/reconcile.ts';
import { decodeItem } from '../../cells/envelope.ts';
import { decodeSequences } from '../../cells/sequences.ts';
import { messageOf, TorilError } from '../../errors.ts';
import type { Copy } from '../../jobs/lane.ts';
import type { Queue } from '../../jobs/queue.ts';
import { cellName } from '../../memcached/item-names.ts';
import type { MemcachedServer } from '../../memcached/server.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import { itemBytesMax, itemsTooSmall } from '../fold/fitting.ts';

export interface CellStanding {
  /** `unreachable`: memcached did not tell. */
  readonly standing:
    | 'clean'
    | 'unacknowledged'
    | 'missing'
    | 'stale'
    | 'fresh'
    | 'foreign'
    | 'refused'
    | 'unreachable';
  /** Of its commit, if it has one. */
  readonly token?: number;
  /** Why workers hold the lane, or why memcached did not tell. */
  readonly code?: string;
  readonly reason?: string;
}

export async function cellStanding(
  key: string,
  queue: Queue,
  servers: MemcachedServers,
): Promise<CellStanding> {
  let content: ReturnType<typeof decodeItem>;
  try {
    const connection = await servers.serverFor(key).connection();
    const outcome = await connection.get(cellName(key));
    if (outcome.kind === 'unknown') throw outcome.cause;
    content = outcome.kind === 'done' ? decodeItem(outcome.value) : { kind: 'missing' };
  } catch (cause) {
    const code = cause instanceof TorilError ? { code: cause.code } : {};
    return { standing: 'unreachable', ...code, reason: messageOf(cause) };
  }
  const own =
    content.kind === 'envelope'
      ? decodeSequences(content.envelope.jobs, content.envelope.watermark)
      : [];
  const { copy, head, dataSet, nextToken } = await queue.inRedis.lanes.inspect(key, own.length + 1);
  const from = {
    queue: queue.qualifiedName,
    dataSet,
    token: nextToken,
    firstSequence: head[0]?.sequence,
    knows: () => false,
  };
  const standing = reconcile(content, copy, from);
  const token = content.kind === 'envelope' ? { token: content.envelope.token } : {};
  switch (standing.kind) {
    case 'restore':
      return tooLarge(key, copy, servers.serverFor(key)) ?? { standing: standing.found, ...token };
    case 'refused': {
      const { code, message } = standing.cause;
      return { standing: 'refused', ...token, code, reason: message };
    }
    case 'unacknowledged': {
      // Whoever acknowledges it finds out, and holds the lane.
      const { envelope } = standing;
      const isOthers = head.some(
        ({ sequence }) => sequence <= envelope.watermark && !own.includes(sequence),
      );
      if (!isOthers) return { standing: 'unacknowledged', ...token };
      const { code, message } = strangers(envelope);
      return { standing: 'refused', ...token, code, reason: message };
    }
    default:
      return { standing: standing.kind, ...token };
  }
}

/** Memcached has come back with smaller items than the value needs: the lane stands, unless its next job makes it smaller. */
function tooLarge(key: string, { value }: Copy, server: MemcachedServer): CellStanding | undefined {
  const bytes = typeof value === 'object' ? Buffer.byteLength(value.json) : 0;
  const bytesMax = itemBytesMax(server);
  if (bytes <= bytesMax) return undefined;
  const { code, message } = itemsTooSmall(key, bytes, bytesMax);
  return { standing: 'refused', code, reason: message };
}
