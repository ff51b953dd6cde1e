/** Reading the history in Redis. It is written by scripts/acknowledge.ts. */
import type {
  History,
  HistoryEntry,
  HistoryJob,
  HistoryPage,
  HistoryRequest,
  Origin,
} from '../../history/history.ts';
import type { QueueScripts } from './queue-scripts.ts';
import { JOB_SEPARATOR, READ_HISTORY, READ_LATEST_HISTORY } from './scripts/history.ts';

/** Entries that one call looks at, so that no script blocks Redis for long, and bytes that it brings. */
const ENTRIES_PER_PAGE = 1000;
const BYTES_PER_PAGE = 1_000_000;
/** Of the newest entries, those of one key are looked for: 2,000 entries of a few jobs take Redis some 2 ms. */
const ENTRIES_LOOKED_BACK = 2_000;

export interface LatestCommits {
  /** Newest first. */
  readonly entries: readonly HistoryEntry[];
  /** There may be older ones. */
  readonly hasMore: boolean;
}

export class RedisHistory implements History {
  readonly #scripts: QueueScripts;

  constructor(scripts: QueueScripts) {
    this.#scripts = scripts;
  }

  async read({ after, until, key }: HistoryRequest): Promise<HistoryPage> {
    const [untilMs, last, torn, isJoint, ...entries] = (await this.#scripts.run(READ_HISTORY, [
      typeof after === 'number' ? String(after) : `(${after}`,
      until ?? '',
      key ?? '',
      ENTRIES_PER_PAGE,
      BYTES_PER_PAGE,
    ])) as [string, string, string, 0 | 1, ...[string, string[]][]];
    return {
      entries: entries.map(([id, fields]) => entryOf(id, fields)),
      next: last === '' ? undefined : { after: last, until: Number(untilMs), key },
      until: Number(untilMs),
      isTorn: torn !== '',
      isJoint: isJoint === 1,
    };
  }

  /**
   * The last commits of a key, as far as they are among the newest of all keys. Of joint ones, the key's jobs.
   * @param bytesMax of jobs and values, about: fewer commits come if they are larger
   * @throws TorilError REDIS_FAILED
   */
  async latest(
    key: string,
    commitsMax: number,
    bytesMax: number = BYTES_PER_PAGE,
  ): Promise<LatestCommits> {
    const [more, ...entries] = (await this.#scripts.run(READ_LATEST_HISTORY, [
      ...[key, commitsMax, ENTRIES_LOOKED_BACK, bytesMax],
    ])) as [string, ...[string, string[]][]];
    const all = entries.map(([id, fields]) => entryOf(id, fields));
    const isIts = ({ keys }: HistoryJob): boolean => keys?.includes(key) !== false;
    const its = all.map((entry) => ({ ...entry, jobs: entry.jobs.filter(isIts) }));
    return { entries: its, hasMore: more !== '' };
  }
}

function entryOf(id: string, fields: readonly string[]): HistoryEntry {
  const of = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) of.set(fields[i] as string, fields[i + 1] as string);
  const among = of.get('m');
  const keys = keysIn(among);
  return {
    id,
    key: of.get('k') ?? '',
    token: Number(of.get('t')),
    base: Number(of.get('b')),
    watermark: Number(of.get('w')),
    origin: decodeOrigin(of.get('o')),
    hash: of.get('h') ?? '',
    value: of.get('v'),
    recovered: of.has('r'),
    hasResults: of.has('s'),
    jobs: jobsOf(of.get('J') ?? of.get('j') ?? '', keys ?? keysIn(of.get('M'))),
    ...(keys !== undefined && { keys }),
    ...(among !== undefined && keys === undefined && { head: among }),
  };
}

/** Undefined: it is the id of another entry, or nothing. */
function keysIn(told: string | undefined): string[] | undefined {
  return told?.startsWith('[') === true ? (JSON.parse(told) as string[]) : undefined;
}

function decodeOrigin(text: string | undefined): Origin {
  if (text === undefined) return 'base';
  if (text === '-') return 'nothing';
  return text.startsWith('+') ? { adopted: text.slice(1) } : 'unknown';
}

/** @param among all keys of a joint commit */
function jobsOf(text: string, among: readonly string[] | undefined): HistoryJob[] {
  const parts = text.split(JOB_SEPARATOR);
  const jobs: HistoryJob[] = [];
  // What comes before the first separator is empty.
  for (let i = 1; i < parts.length; i += 2) {
    const [jobId, name, sequence, attempt, decision, places] = JSON.parse(parts[i] as string) as [
      string,
      string | null,
      number,
      number,
      string,
      number[] | undefined,
    ];
    const data = parts[i + 1] ?? '';
    const keys = places?.map((place) => among?.[place] as string);
    const job = { jobId, name: name ?? undefined, sequence, attempt, decision, data };
    jobs.push(keys === undefined ? job : { ...job, keys });
  }
  return jobs;
}
