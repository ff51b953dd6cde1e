/**
 * What a worker asks of its servers and what it is answered, as data: a request can then be executed
 * at any later moment, after its worker is gone, and in many branches of the search.
 */
import type { JointCommit } from '../../src/jobs/joint-lanes.ts';
import type { Acknowledgement, TakeRequest } from '../../src/jobs/lanes.ts';
import { LOCK_FLAGS } from '../../src/lock/lock-item.ts';
import type { Cas, Item, NewItem, Outcome } from '../../src/memcached/server.ts';
import { casText, ownerByCas } from './chosen-cas.ts';
import { Interned } from './interned.ts';
import {
  Numbers,
  renamedCall,
  renamedOutcome,
  renamedReply,
  renamedRequest,
  type Renaming,
} from './renaming.ts';

export type MemcachedRequest =
  /** `look`: behind a bump, in the meta protocol. */
  | { readonly command: 'get' | 'look'; readonly name: string }
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
  | { readonly script: 'acknowledgeJoint'; readonly commit: JointCommit }
  | { readonly script: 'settled' | 'behind'; readonly token: number }
  | { readonly script: 'locate'; readonly key: string; readonly jobId: string }
  /** BullMQ's: what is known of the job at its delivery. */
  | { readonly script: 'deliver'; readonly jobId: string }
  | { readonly script: 'drawToken' };

/** What is known by number. */
interface Things {
  memcached: MemcachedRequest;
  outcome: Outcome<unknown>;
  redis: RedisRequest;
  reply: unknown;
}
type Sort = keyof Things;

const TEXTS: { readonly [S in Sort]: (thing: Things[S]) => string } = {
  memcached: requestText,
  outcome: outcomeText,
  redis: (call) => `${call.script} ${jsonOf(call)}`,
  reply: jsonOf,
};

const RENAMED: { readonly [S in Sort]: (thing: Things[S], to: Renaming) => Things[S] } = {
  memcached: renamedRequest,
  outcome: renamedOutcome,
  redis: renamedCall,
  reply: renamedReply,
};

/** Requests and answers by number; a number means the same in every worker and every branch. */
export class Vocabulary {
  readonly #things: { readonly [S in Sort]: Interned<Things[S]> } = {
    memcached: new Interned(),
    outcome: new Interned(),
    redis: new Interned(),
    reply: new Interned(),
  };
  readonly #numbers: { readonly [S in Sort]: Numbers[] } = {
    memcached: [],
    outcome: [],
    redis: [],
    reply: [],
  };

  idOf<S extends Sort>(sort: S, thing: Things[S]): number {
    return this.#things[sort].idOf(TEXTS[sort](thing), thing);
  }

  at<S extends Sort>(sort: S, id: number): Things[S] {
    return this.#things[sort].get(id);
  }

  text(sort: Sort, id: number): string {
    return this.#things[sort].text(id);
  }

  /** The CAS values, tokens and owner ids in it. */
  numbersIn<S extends Sort>(sort: S, id: number): Numbers {
    const known = this.#numbers[sort][id];
    if (known !== undefined) return known;
    const numbers = Numbers.in((to) => RENAMED[sort](this.at(sort, id), to));
    this.#numbers[sort][id] = numbers;
    return numbers;
  }

  renamed<S extends Sort>(sort: S, id: number, to: Renaming): number {
    if (this.numbersIn(sort, id).isEmpty) return id;
    return this.idOf(sort, RENAMED[sort](this.at(sort, id), to));
  }
}

/** The owner id that is written into a lock, or stands in it; empty: it is no lock. */
export function ownerIn(item: NewItem | Item | undefined): string {
  if (item === undefined) return '';
  const cas = 'cas' in item ? item.cas : item.chosenCas;
  const isByCas = cas !== undefined && ownerByCas(cas) !== undefined;
  if (isByCas) return casText(cas);
  const text = item.flags === LOCK_FLAGS ? item.value.toString('latin1') : '';
  return text.slice(0, Math.max(0, text.indexOf(' ')));
}

/** The item that an answer tells of: read, or in the way of an add. */
export function itemIn(outcome: Outcome<unknown>): Item | undefined {
  if (outcome.kind === 'refused') return outcome.found;
  const isItem = outcome.kind === 'done' && typeof outcome.value === 'object';
  return isItem ? (outcome.value as Item) : undefined;
}

function requestText(request: MemcachedRequest): string {
  const cas = 'cas' in request ? ` #${casText(request.cas)}` : '';
  const item = 'item' in request ? ` ${itemText(request.item)}` : '';
  return `${request.command} ${request.name}${cas}${item}`;
}

function outcomeText(outcome: Outcome<unknown>): string {
  if (outcome.kind === 'unknown') return 'unknown';
  const item = itemIn(outcome);
  const found = item && `#${casText(item.cas)} ${itemText({ ...item, ttlSeconds: 0 })}`;
  if (outcome.kind === 'refused')
    return found === undefined ? outcome.reason : `${outcome.reason}: ${found}`;
  const { value } = outcome;
  if (value === undefined) return 'done';
  return found ?? `done #${casText(value as Cas)}`;
}

function itemText({ value, ttlSeconds, isCopied, chosenCas }: NewItem): string {
  const chosen = chosenCas === undefined ? '' : `as #${casText(chosenCas)}`;
  const life = ttlSeconds === 0 ? '' : ` for ${ttlSeconds} s`;
  return `${value.toString('latin1')}${chosen}${life}${isCopied === true ? ' (ms)' : ''}`;
}

/** Maps, as their entries: nothing that is sent may be left out of its text. */
export function jsonOf(thing: unknown): string {
  return (
    JSON.stringify(thing, (_, value: unknown) => (value instanceof Map ? [...value] : value)) ??
    'undefined'
  );
}
