/**
 * CAS values, tokens and owner ids are compared, never computed with. So states that differ only in
 * how large these numbers are go on in the same way; they are brought to the same small numbers, in
 * the same order. Here is where such numbers stand.
 */
import type { BehindCommit, JointCommit, JointHead } from '../../src/jobs/joint-lanes.ts';
import type { Acknowledgement, Taken, TakeRequest } from '../../src/jobs/lanes.ts';
import type { Copy } from '../../src/jobs/lane.ts';
import { LOCK_FLAGS } from '../../src/lock/lock-item.ts';
import {
  type Cas,
  type Item,
  type NewItem,
  type Outcome,
  refusedFor,
} from '../../src/memcached/server.ts';
import { lockByCas, ownerByCas, type OwnerId } from './chosen-cas.ts';
import type { MemcachedRequest, RedisRequest } from './requests.ts';

/** What becomes of each number. */
export interface Renaming {
  cas(value: number): number;
  token(value: number): number;
  /** `worker`: the name that the owner id begins with. */
  id(worker: string, value: number): number;
  /** How many it has drawn of those that anybody knows, when it had drawn `count`. */
  idsUpTo(worker: string, count: number): number;
}

export function renamedItem<Some extends NewItem | Item>(item: Some, to: Renaming): Some {
  const text = item.value.toString('latin1');
  const value = item.flags === LOCK_FLAGS ? renamedOwner(text, to) : renamedTokens(text, to);
  const renamed = { ...item, value: Buffer.from(value, 'latin1') };
  if ('cas' in renamed) return { ...renamed, cas: renamedCas(renamed.cas, to) };
  const { chosenCas } = renamed;
  return chosenCas === undefined ? renamed : { ...renamed, chosenCas: renamedCas(chosenCas, to) };
}

/** One that was chosen is an owner id. */
function renamedCas(cas: Cas, to: Renaming): Cas {
  const owner = ownerByCas(cas);
  if (owner === undefined) return BigInt(to.cas(Number(cas)));
  const { worker, id } = owner;
  return lockByCas({ worker, id: to.id(worker, id) }).chosenCas;
}

/** `A-3 10000` */
function renamedOwner(text: string, to: Renaming): string {
  return text.replace(/^(\w+)-(\d+) /, (_, worker: string, id: string) => {
    return `${worker}-${to.id(worker, Number(id))} `;
  });
}

function renamedTokens(envelope: string, to: Renaming): string {
  return envelope.replace(/"(token|base)":(\d+)/g, (_, name: string, token: string) => {
    return `"${name}":${to.token(Number(token))}`;
  });
}

export function renamedOutcome(outcome: Outcome<unknown>, to: Renaming): Outcome<unknown> {
  if (outcome.kind === 'refused' && outcome.found !== undefined)
    return refusedFor(renamedItem(outcome.found, to));
  if (outcome.kind !== 'done' || outcome.value === undefined) return outcome;
  const { value } = outcome;
  if (typeof value === 'bigint') return { kind: 'done', value: renamedCas(value, to) };
  return { kind: 'done', value: renamedItem(value as Item, to) };
}

export function renamedRequest(request: MemcachedRequest, to: Renaming): MemcachedRequest {
  switch (request.command) {
    case 'get':
    case 'look':
      return request;
    case 'add':
      return { ...request, item: renamedItem(request.item, to) };
    case 'replace': {
      const cas = renamedCas(request.cas, to);
      return { ...request, item: renamedItem(request.item, to), cas };
    }
    case 'delete':
    case 'bump':
      return { ...request, cas: renamedCas(request.cas, to) };
  }
}

export function renamedCall(call: RedisRequest, to: Renaming): RedisRequest {
  switch (call.script) {
    case 'take':
      return { ...call, request: renamedTake(call.request, to) };
    case 'acknowledge':
      return { ...call, commit: renamedCommit(call.commit, to) };
    case 'acknowledgeJoint':
      return { ...call, commit: renamedJoint(call.commit, to) };
    case 'settled':
    case 'behind':
      return { ...call, token: to.token(call.token) };
    case 'locate':
    case 'deliver':
    case 'drawToken':
      return call;
  }
}

function renamedTake(request: TakeRequest, to: Renaming): TakeRequest {
  const { cell } = request;
  if (cell === undefined) return request;
  return { ...request, cell: { ...cell, token: to.token(cell.token), base: to.token(cell.base) } };
}

export function renamedCommit(commit: Acknowledgement, to: Renaming): Acknowledgement {
  return { ...commit, token: to.token(commit.token), base: to.token(commit.base) };
}

export function renamedJoint(commit: JointCommit, to: Renaming): JointCommit {
  const keys = commit.keys.map((key) => ({ ...key, base: to.token(key.base) }));
  return { ...commit, token: to.token(commit.token), keys };
}

/** A reply is a token, what was taken, commits that are behind, an outcome, or has no such number in it. */
export function renamedReply(reply: unknown, to: Renaming): unknown {
  if (typeof reply === 'number') return to.token(reply);
  if (typeof reply !== 'object' || reply === null) return reply;
  if (Array.isArray(reply))
    return (reply as BehindCommit[]).map((one) => ({ ...one, token: to.token(one.token) }));
  if ('outcome' in reply)
    return { ...reply, outcome: renamedOutcomeText(String(reply.outcome), to) };
  if (!('copy' in reply)) return reply;
  const taken = reply as Taken;
  const { copy, token, decided, joint } = taken;
  return {
    ...{ ...taken, token: to.token(token), copy: renamedCopy(copy, to) },
    decided: new Map([...decided].map(([jobId, text]) => [jobId, renamedOutcomeText(text, to)])),
    joint: joint && renamedHead(joint, to),
  };
}

/** `j5:a3`: of a joint commit. */
export function renamedOutcomeText(outcome: string, to: Renaming): string {
  return outcome.replace(/^j(\d+):/, (_, token: string) => `j${to.token(Number(token))}:`);
}

function renamedCopy(copy: Copy, to: Renaming): Copy {
  return { ...copy, token: to.token(copy.token) };
}

function renamedHead(joint: JointHead, to: Renaming): JointHead {
  const others = [...joint.others].map(
    ([key, other]) => [key, { ...other, copy: renamedCopy(other.copy, to) }] as const,
  );
  return { ...joint, others: new Map(others) };
}

/** The numbers in something. */
export class Numbers {
  readonly cas: readonly number[];
  readonly tokens: readonly number[];
  readonly ids: readonly OwnerId[];

  private constructor(cas: readonly number[], tokens: readonly number[], ids: readonly OwnerId[]) {
    this.cas = cas;
    this.tokens = tokens;
    this.ids = ids;
  }

  /** `rename` renames all that is in it. */
  static in(rename: (to: Renaming) => unknown): Numbers {
    const cas = new Set<number>();
    const tokens = new Set<number>();
    const ids: OwnerId[] = [];
    rename({
      cas(value) {
        if (value > 0) cas.add(value); // 0: nobody looks at it (looks.ts)
        return value;
      },
      token(value) {
        if (value > 0) tokens.add(value);
        return value;
      },
      id(worker, id) {
        ids.push({ worker, id });
        return id;
      },
      idsUpTo: (_, count) => count,
    });
    return new Numbers([...cas], [...tokens], ids);
  }

  static of(
    before: Numbers | undefined,
    more: Numbers | undefined,
    own: readonly OwnerId[],
  ): Numbers {
    if (before !== undefined && own.length === 0 && (more === undefined || more.isEmpty)) {
      return before;
    }
    const ids = [...(before?.ids ?? []), ...own];
    for (const { worker, id } of more?.ids ?? []) {
      if (!ids.some((one) => one.worker === worker && one.id === id)) ids.push({ worker, id });
    }
    return new Numbers(
      [...new Set([...(before?.cas ?? []), ...(more?.cas ?? [])])],
      [...new Set([...(before?.tokens ?? []), ...(more?.tokens ?? [])])],
      ids,
    );
  }

  /** What becomes of them, in one word. */
  keyOf(to: Renaming): string {
    let key = '';
    for (const value of this.cas) key += `${to.cas(value)} `;
    for (const value of this.tokens) key += `${to.token(value)} `;
    for (const { worker, id } of this.ids) key += `${to.id(worker, id)} `;
    return key;
  }

  get isEmpty(): boolean {
    return this.cas.length + this.tokens.length + this.ids.length === 0;
  }
}
