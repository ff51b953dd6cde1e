/**
 * What a worker asks of its servers and what it is answered, as data: a request can then be executed
 * at any later moment, after its worker is gone, and in many branches of the search.
 */
import type { Acknowledgement, TakeRequest } from '../../src/jobs/lanes.ts';
import type { Cas, Item, NewItem, Outcome } from '../../src/memcached/server.ts';
import { Interned } from './interned.ts';

export type MemcachedRequest =
  | { readonly command: 'get'; readonly name: string }
  | { readonly command: 'add'; readonly name: string; readonly item: NewItem }
  | {
      readonly command: 'replace';
      readonly name: string;
      readonly item: NewItem;
      readonly cas: Cas;
    }
  | { readonly command: 'delete' | 'bump'; readonly name: string; readonly cas: Cas };

export type RedisRequest =
  | { readonly script: 'take'; readonly request: TakeRequest }
  | { readonly script: 'acknowledge'; readonly commit: Acknowledgement }
  | { readonly script: 'locate'; readonly key: string; readonly jobId: string }
  | { readonly script: 'drawToken' };

/** Requests and answers by number; a number means the same in every worker and every branch. */
export class Vocabulary {
  readonly #memcached = new Interned<MemcachedRequest>();
  readonly #outcomes = new Interned<Outcome<unknown>>();
  readonly #redis = new Interned<RedisRequest>();
  readonly #replies = new Interned<unknown>();

  memcached(request: MemcachedRequest): number {
    return this.#memcached.idOf(requestText(request), request);
  }

  redis(request: RedisRequest): number {
    return this.#redis.idOf(`${request.script} ${jsonOf(request)}`, request);
  }

  outcome(outcome: Outcome<unknown>): number {
    return this.#outcomes.idOf(outcomeText(outcome), outcome);
  }

  reply(reply: unknown): number {
    return this.#replies.idOf(jsonOf(reply), reply);
  }

  memcachedAt(id: number): MemcachedRequest {
    return this.#memcached.get(id);
  }

  redisAt(id: number): RedisRequest {
    return this.#redis.get(id);
  }

  outcomeAt(id: number): Outcome<unknown> {
    return this.#outcomes.get(id);
  }

  replyAt(id: number): unknown {
    return this.#replies.get(id);
  }

  memcachedText(id: number): string {
    return this.#memcached.text(id);
  }

  redisText(id: number): string {
    return this.#redis.text(id);
  }

  outcomeText(id: number): string {
    return this.#outcomes.text(id);
  }

  replyText(id: number): string {
    return this.#replies.text(id);
  }
}

function requestText(request: MemcachedRequest): string {
  const cas = 'cas' in request ? ` #${request.cas}` : '';
  const item = 'item' in request ? ` ${itemText(request.item)}` : '';
  return `${request.command} ${request.name}${cas}${item}`;
}

function outcomeText(outcome: Outcome<unknown>): string {
  if (outcome.kind === 'refused') return outcome.reason;
  if (outcome.kind === 'unknown') return 'unknown';
  const { value } = outcome;
  if (value === undefined) return 'done';
  if (typeof value === 'bigint') return `done #${value}`;
  const item = value as Item;
  return `#${item.cas} ${itemText({ ...item, ttlSeconds: 0 })}`;
}

function itemText({ value, ttlSeconds }: NewItem): string {
  const life = ttlSeconds === 0 ? '' : ` for ${ttlSeconds} s`;
  return `${value.toString('latin1')}${life}`;
}

/** Maps, as their entries: nothing that is sent may be left out of its text. */
function jsonOf(thing: unknown): string {
  return (
    JSON.stringify(thing, (_, value: unknown) => (value instanceof Map ? [...value] : value)) ??
    'undefined'
  );
}
