/** The audit trail as a stream in Redis, which other programs can follow with XREAD. */
import type {
  Act,
  ActEnd,
  AuditedAct,
  AuditPage,
  AuditRequest,
  AuditTrail,
} from '../../audit-trail.ts';
import type { QueueScripts } from '../queue-scripts.ts';
import { ADD_TO_AUDIT, READ_AUDIT } from './audit-scripts.ts';

/** Entries that the stream keeps, about; an act makes two. */
const ENTRIES_MAX = 10_000;
/** Characters of a result: an error's message may hold anything. */
const RESULT_MAX = 1_000;
const ACTS_PER_PAGE = 50;
const ACTS_PER_PAGE_MAX = 200;
/** Entries that one call looks at, where only one key's acts are wanted. */
const LOOKED_AT_MAX = 2_000;

type Reply = readonly [
  last: string,
  ...acts: (readonly [string, readonly string[], (readonly string[])?])[],
];

export class RedisAuditTrail implements AuditTrail {
  readonly #scripts: QueueScripts;
  readonly #entriesMax: number;

  constructor(scripts: QueueScripts, entriesMax: number = ENTRIES_MAX) {
    this.#scripts = scripts;
    this.#entriesMax = entriesMax;
  }

  begin({ who, what, key, jobId, keys = [] }: Act): Promise<string> {
    const all = keys.length > 1 ? ['keys', JSON.stringify(keys)] : [];
    return this.#add(['who', who, 'what', what, 'key', key, 'job', jobId, ...all]);
  }

  async end(id: string, end: ActEnd): Promise<void> {
    const code = end.kind === 'done' ? '' : end.code;
    await this.#add(['of', id, 'code', code, 'result', end.result.slice(0, RESULT_MAX)]);
  }

  async read({ key, before, limit = ACTS_PER_PAGE }: AuditRequest = {}): Promise<AuditPage> {
    const [last, ...acts] = (await this.#scripts.run(READ_AUDIT, [
      isEntryId(before) ? `(${before}` : '+',
      key === undefined ? '' : `=${key}`,
      Math.min(Math.max(1, Math.trunc(limit)), ACTS_PER_PAGE_MAX),
      LOOKED_AT_MAX,
    ])) as Reply;
    return {
      acts: acts.map(([id, act, end]) => auditedAct(id, fields(act), end && fields(end))),
      before: last === '' ? undefined : last,
    };
  }

  async #add(entry: readonly string[]): Promise<string> {
    return String(await this.#scripts.run(ADD_TO_AUDIT, [this.#entriesMax, ...entry]));
  }
}

/** Anything else would have Redis fail the call: it may be what somebody typed into an address. */
function isEntryId(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,15}-\d{1,15}$/.test(text);
}

function fields(entry: readonly string[]): ReadonlyMap<string, string> {
  const of = new Map<string, string>();
  for (let at = 0; at < entry.length; at += 2) of.set(entry[at] ?? '', entry[at + 1] ?? '');
  return of;
}

function auditedAct(
  id: string,
  act: ReadonlyMap<string, string>,
  end: ReadonlyMap<string, string> | undefined,
): AuditedAct {
  return {
    id,
    atMs: Number(id.split('-')[0]),
    who: act.get('who') ?? '',
    what: act.get('what') ?? '',
    key: act.get('key') ?? '',
    jobId: act.get('job') ?? '',
    ...keysOf(act.get('keys')),
    end: end && actEnd(end),
  };
}

function keysOf(told: string | undefined): Pick<AuditedAct, 'keys'> {
  return told === undefined ? {} : { keys: JSON.parse(told) as string[] };
}

function actEnd(end: ReadonlyMap<string, string>): ActEnd {
  const code = end.get('code') ?? '';
  const result = end.get('result') ?? '';
  return code === '' ? { kind: 'done', result } : { kind: 'refused', code, result };
}
