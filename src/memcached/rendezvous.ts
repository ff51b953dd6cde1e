/**
 * Which server holds a key: rendezvous hashing (Thaler and Ravishankar, 1996). Every server draws a
 * number from key and address, the highest has the key. So a server that is added or taken away
 * moves only its own share of the keys, and the order of the list means nothing. A server that is
 * down keeps its keys: another one would be a second lock for them.
 */
import { assert } from '../base/assert.ts';
import type { MemcachedServer } from './server.ts';
import type { MemcachedServers } from './servers.ts';

/** Part of every fingerprint. The hashing below must never change under this name. */
const HASHING = 'rendezvous-fnv1a-fmix32';

interface Candidate {
  readonly server: MemcachedServer;
  readonly hash: number;
}

export class RendezvousServers implements MemcachedServers {
  readonly all: readonly MemcachedServer[];
  readonly fingerprint: string;
  readonly #only: MemcachedServer | undefined;
  readonly #candidates: readonly Candidate[];

  constructor(servers: readonly MemcachedServer[]) {
    assert(servers.length > 0, 'a list of no servers');
    this.all = [...servers];
    // Sorted, so that equal numbers are settled in the same way by every process.
    const sorted = servers.toSorted((a, b) => (a.address < b.address ? -1 : 1));
    this.#candidates = sorted.map((server) => ({ server, hash: fnv1a(server.address) }));
    this.#only = servers.length === 1 ? servers[0] : undefined;
    this.fingerprint = `${HASHING}:${sorted.map(({ address }) => address).join(',')}`;
  }

  serverFor(key: string): MemcachedServer {
    if (this.#only !== undefined) return this.#only;
    const keyHash = fnv1a(key);
    let best: MemcachedServer | undefined;
    let bestDraw = -1;
    for (const { server, hash } of this.#candidates) {
      const draw = mix(keyHash ^ hash);
      if (draw <= bestDraw) continue;
      best = server;
      bestDraw = draw;
    }
    assert(best !== undefined, 'a list of no servers');
    return best;
  }

  async close(atOnce = false): Promise<void> {
    await Promise.all(this.all.map((server) => server.close(atOnce)));
  }
}

/** FNV-1a over the UTF-8 bytes, 32 bits: programs in other languages must find the key, too. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) return fnv1aOfBytes(Buffer.from(text));
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return hash;
}

function fnv1aOfBytes(bytes: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

/** The last step of MurmurHash3 (Austin Appleby, public domain): every bit reaches every other. */
function mix(bits: number): number {
  let mixed = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
