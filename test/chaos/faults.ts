/** Carries the faults out. A target that is under another fault already is left alone. */
import { connectionDeed } from './connection-deeds.ts';
import type { Deed } from './deed.ts';
import { memberDeed } from './member-deeds.ts';
import type { Fault, FaultKind } from './schedule.ts';
import { memcachedDeed, promotion, redisDeed } from './server-deeds.ts';
import type { Site } from './site.ts';

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
    if (deed === undefined || deed.targets.some((target) => this.#busy.has(target))) return;
    for (const target of deed.targets) this.#busy.add(target);
    this.#site.recorder.note({
      e: 'fault',
      kind,
      target: deed.targets.join(', '),
      more: `${Math.round(ms)} ms`,
    });
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    try {
      await deed.act();
    } finally {
      for (const target of deed.targets) this.#busy.delete(target);
    }
  }

  /** Ends what has not ended by itself. */
  heal(): void {
    for (const proxy of [this.#site.redisProxy, ...this.#site.memcachedProxies]) proxy.heal();
  }

  #deed(fault: Fault): Deed | undefined {
    switch (fault.kind) {
      case 'kill worker':
      case 'freeze worker':
      case 'replace worker':
      case 'partition worker':
      case 'kill producer':
      case 'freeze producer':
      case 'partition producer':
      case 'jump worker clock':
      case 'jump producer clock':
      case 'stock client':
      case 'second data set':
        return memberDeed(this.#site, fault);
      case 'restart memcached':
      case 'flush memcached':
      case 'freeze memcached':
      case 'fill memcached':
      case 'late memcached':
        return memcachedDeed(this.#site, fault, (evicted) => {
          this.evictions += evicted;
        });
      case 'promote replica':
        return promotion(this.#site, fault.ms);
      case 'restart redis':
      case 'freeze redis':
      case 'flush scripts':
      case 'refuse NOREPLICAS':
      case 'refuse READONLY':
      case 'refuse MASTERDOWN':
      case 'refuse OOM':
      case 'refuse MISCONF':
      case 'refuse BUSY':
        return redisDeed(this.#site, fault as Fault & { readonly kind: typeof fault.kind });
      case 'cut connections':
      case 'cut at a byte':
      case 'cut late':
      case 'half-open':
      case 'lose replies':
      case 'delay':
      case 'split':
        return connectionDeed(this.#site, fault);
    }
  }
}
