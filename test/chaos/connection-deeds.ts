/** Faults of connections, of one client's or of everybody's to one server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Deed, pick } from './deed.ts';
import type { Proxy, Whose } from './proxy.ts';
import type { Fault } from './schedule.ts';
import type { Site } from './site.ts';

const DELAY_MS = 500;
const PIECE_BYTES = 40;
/** A request or reply is cut off after so many bytes, at most; short ones as often as long ones. */
const CUT_BYTES_MAX = 6_000;
/** Of these, how many strike Redis: transactions go there. */
const CUT_TO_REDIS = 0.6;
/** Of the faults of connections, how many strike one client only. */
const ONE_CLIENT = 0.7;

export function connectionDeed(site: Site, { kind, ms, target, whose, size }: Fault): Deed {
  const { redisProxy, memcachedProxies, workers, producers } = site;
  const proxies = [redisProxy, ...memcachedProxies];
  const toRedis = kind === 'cut at a byte' && target < CUT_TO_REDIS;
  const index = toRedis ? 0 : Math.floor(target * proxies.length);
  const proxy = proxies[index] as Proxy;
  const clients = index === 0 ? [...workers, ...producers] : workers;
  const client = whose < ONE_CLIENT ? pick(clients, whose / ONE_CLIENT) : undefined;
  const peer = client?.home.address;
  return {
    targets: [
      `connections of ${client?.name ?? 'all'} to ${index === 0 ? 'redis' : `memcached ${index - 1}`}`,
    ],
    async act() {
      spoil(proxy, kind, peer, ms, size);
      await sleep(ms);
    },
  };
}

function spoil(proxy: Proxy, kind: Fault['kind'], whose: Whose, ms: number, size: number): void {
  if (kind === 'cut connections') proxy.cut(whose);
  if (kind === 'cut at a byte') {
    const inReply = size < 0.5;
    const bytes = Math.floor(CUT_BYTES_MAX ** ((size * 2) % 1));
    proxy.cutAtByte(whose, inReply ? 'replies' : 'requests', bytes, ms);
  }
  if (kind === 'cut late') proxy.cutAndDeliverLate(whose, ms);
  if (kind === 'half-open') proxy.silence(whose, 'both', ms, size < 0.5);
  if (kind === 'lose replies') proxy.silence(whose, 'replies', ms, size < 0.5);
  if (kind === 'delay') proxy.delay(whose, size ** 2 * DELAY_MS, ms);
  if (kind === 'split') proxy.split(whose, 1 + Math.floor(size ** 2 * PIECE_BYTES), ms);
}
