/** Carries the faults out. A target that is under another fault already is left alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { nowUs } from './history.ts';
import type { Member } from './member.ts';
import type { Proxy, Whose } from './proxy.ts';
import type { Fault, FaultKind } from './schedule.ts';
import { type Site, SMALL_SERVER } from './site.ts';
import { flood, tell } from './text-client.ts';

const DELAY_MS = 500;
const PIECE_BYTES = 40;
/** Of the faults of connections, how many strike one client only. */
const ONE_CLIENT = 0.7;

/** What a fault is done to: its name, for the history and so that nothing is done to it twice at a time. */
interface Deed {
  readonly target: string;
  readonly act: () => unknown;
}

export class Faults {
  /** Carried out so far. */
  readonly counts = new Map<FaultKind, number>();
  /** Values of others that the filler pushed out, and maybe ours. */
  evictions = 0;
  readonly #site: Site;
  readonly #busy = new Set<string>();

  constructor(site: Site) {
    this.#site = site;
  }

  async strike(fault: Fault): Promise<void> {
    const { kind, ms } = fault;
    const deed = this.#deed(fault);
    if (deed === undefined || this.#busy.has(deed.target)) return;
    this.#busy.add(deed.target);
    this.#site.recorder.note({
      e: 'fault',
      kind,
      target: deed.target,
      more: `${Math.round(ms)} ms`,
    });
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    try {
      await deed.act();
    } finally {
      this.#busy.delete(deed.target);
    }
  }

  /** Ends what has not ended by itself. */
  heal(): void {
    for (const proxy of [this.#site.redisProxy, ...this.#site.memcachedProxies]) proxy.heal();
  }

  #deed(fault: Fault): Deed | undefined {
    const { kind, ms } = fault;
    switch (kind) {
      case 'kill worker':
      case 'freeze worker':
      case 'replace worker':
      case 'partition worker':
        return this.#toMember(kind, pick(this.#site.workers, fault.target), ms);
      case 'kill producer':
      case 'freeze producer':
      case 'partition producer':
        return this.#toMember(kind, pick(this.#site.producers, fault.target), ms);
      case 'restart memcached':
      case 'flush memcached':
      case 'freeze memcached':
        return this.#toMemcached(kind, Math.floor(fault.target * 2), ms);
      case 'fill memcached':
        return this.#toMemcached(kind, SMALL_SERVER, ms);
      case 'restart redis':
      case 'freeze redis':
        return this.#toRedis(kind, ms);
      case 'cut connections':
      case 'cut, deliver late':
      case 'half-open':
      case 'lose replies':
      case 'delay':
      case 'split':
        return this.#toConnections(fault);
    }
  }

  #toMember(kind: FaultKind, member: Member, ms: number): Deed | undefined {
    const { name, home } = member;
    if (kind.startsWith('partition')) {
      if (this.#site.network.missing !== undefined) return undefined;
      const target = `network of ${name}`;
      return {
        target,
        act: () =>
          during(
            ms,
            () => home.plug(false),
            () => home.plug(true),
          ),
      };
    }
    if (kind.startsWith('freeze')) {
      return {
        target: name,
        act: () =>
          during(
            ms,
            () => member.freeze(),
            () => member.thaw(),
          ),
      };
    }
    const end = kind === 'replace worker' ? () => member.close() : () => member.kill();
    return { target: name, act: () => during(ms, end, () => this.#start(member)) };
  }

  async #start(member: Member): Promise<void> {
    await member.start();
    if (this.#site.producers.includes(member)) await member.order('go');
  }

  #toMemcached(kind: FaultKind, index: number, ms: number): Deed {
    const server = this.#site.memcached[index] as Site['memcached'][number];
    const losing = (act: () => Promise<unknown>) => async (): Promise<void> => {
      const fromUs = nowUs();
      await act();
      this.#site.recorder.note({ e: 'lost', server: index, fromUs });
    };
    const acts: { readonly [Kind in FaultKind]?: () => Promise<unknown> } = {
      'restart memcached': losing(() =>
        during(
          ms,
          () => server.kill(),
          () => server.start(),
        ),
      ),
      'flush memcached': losing(() => tell(server.port, 'flush_all')),
      'freeze memcached': () =>
        during(
          ms,
          () => server.freeze(),
          () => server.thaw(),
        ),
      'fill memcached': losing(async () => {
        this.evictions += await flood(server.port, ms);
        // Whatever pushes values out must be over when the fault is.
        await tell(server.port, 'flush_all');
      }),
    };
    return { target: `memcached ${index}`, act: acts[kind] as () => Promise<unknown> };
  }

  #toRedis(kind: FaultKind, ms: number): Deed {
    const { redis } = this.#site;
    const act =
      kind === 'restart redis'
        ? () =>
            during(
              ms,
              () => redis.kill(),
              () => redis.start(),
            )
        : () =>
            during(
              ms,
              () => redis.freeze(),
              () => redis.thaw(),
            );
    return { target: 'redis', act };
  }

  #toConnections({ kind, ms, target, whose, size }: Fault): Deed | undefined {
    const { redisProxy, memcachedProxies, workers, producers } = this.#site;
    const proxies = [redisProxy, ...memcachedProxies];
    const index = Math.floor(target * proxies.length);
    const proxy = proxies[index] as Proxy;
    const clients = index === 0 ? [...workers, ...producers] : workers;
    const client = whose < ONE_CLIENT ? pick(clients, whose / ONE_CLIENT) : undefined;
    const peer = client?.home.address;
    const name = `connections of ${client?.name ?? 'all'} to ${index === 0 ? 'redis' : `memcached ${index - 1}`}`;
    return {
      target: name,
      async act() {
        spoil(proxy, kind, peer, ms, size);
        await sleep(ms);
      },
    };
  }
}

function spoil(proxy: Proxy, kind: FaultKind, whose: Whose, ms: number, size: number): void {
  if (kind === 'cut connections') proxy.cut(whose);
  if (kind === 'cut, deliver late') proxy.cutAndDeliverLate(whose, ms);
  if (kind === 'half-open') proxy.silence(whose, 'both', ms, size < 0.5);
  if (kind === 'lose replies') proxy.silence(whose, 'replies', ms, size < 0.5);
  if (kind === 'delay') proxy.delay(whose, size ** 2 * DELAY_MS, ms);
  if (kind === 'split') proxy.split(whose, 1 + Math.floor(size ** 2 * PIECE_BYTES), ms);
}

async function during(ms: number, begin: () => unknown, end: () => unknown): Promise<void> {
  await begin();
  await sleep(ms);
  await end();
}

function pick<T>(choices: readonly T[], fraction: number): T {
  return choices[Math.floor(fraction * choices.length)] as T;
}
