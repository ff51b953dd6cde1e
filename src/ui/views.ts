/** From boards to what the pages show. */
import type { LanesRequest } from '../jobs/reports/lane-report.ts';
import type { AuditedAct } from '../jobs/audit-trail.ts';
import { checkKey } from '../key.ts';
import type { Board } from './board.ts';
import type { LanesQuery } from './links.ts';
import type { May, UiOptions } from './options.ts';
import type { LaneView } from './pages/lane-page.ts';
import type { Found, LanesView } from './pages/lanes-page.ts';
import { Veil } from './veil.ts';

const LANES_PER_PAGE = 100;
/** A key is 1 KiB at most, so nothing longer is in any. */
const SEARCH_MAX = 1_024;
const ACTS_SHOWN = 10;
/** Of acts, among which one is looked for that was done a moment ago. */
const ACTS_LOOKED_AT = 50;

export class Views {
  readonly #hide: UiOptions['hide'];

  constructor(hide: UiOptions['hide']) {
    this.#hide = hide;
  }

  async lanes(board: Board, query: LanesQuery): Promise<LanesView> {
    const search = query.search?.trim().slice(0, SEARCH_MAX) || undefined;
    const [counts, lanes, found] = await Promise.all([
      board.counts(),
      board.lanes(requestOf({ ...query, search })),
      search === undefined || query.cursor !== undefined ? [] : whatIsCalled(board, search),
    ]);
    const queue = board.qualifiedName;
    return {
      ...{ queue, counts, lanes, found },
      query: { ...query, search },
      veil: this.#veil(board),
    };
  }

  async lane(board: Board, key: string, may: May): Promise<LaneView> {
    checkKey(key);
    const [sight, commits, { acts }] = await Promise.all([
      board.lane(key),
      board.commits(key),
      board.audit.read({ key, limit: ACTS_SHOWN }),
    ]);
    const { qualifiedName: queue, name } = board;
    return { ...{ queue, name, key, sight, commits, acts, may }, veil: this.#veil(board) };
  }

  /** As JSON holds it; undefined: none. */
  async value(board: Board, key: string): Promise<unknown> {
    checkKey(key);
    const { report, cell } = await board.lane(key);
    return this.#veil(board).value(key, cell.kind === 'cell' ? cell.value : report.copy);
  }

  async act(board: Board, id: string): Promise<AuditedAct | undefined> {
    const { acts } = await board.audit.read({ limit: ACTS_LOOKED_AT });
    return acts.find((act) => act.id === id);
  }

  #veil({ name }: Board): Veil {
    return new Veil(this.#hide, name);
  }
}

/** What somebody typed into an address is not to be trusted: what is not known means nothing. */
function requestOf({ state, order, search, cursor }: LanesQuery): LanesRequest {
  return {
    limit: LANES_PER_PAGE,
    cursor: cursor === '' ? undefined : cursor,
    ...((state === 'held' || state === 'runnable') && { state }),
    ...(order === 'newest' && { order }),
    ...(search !== undefined && { search }),
  };
}

/** A key of just this name, whether or not it has jobs, or the key of a job of this id. */
async function whatIsCalled(board: Board, search: string): Promise<Found[]> {
  const [key, byJob] = await Promise.all([
    isKnown(board, search).then((known) => (known ? search : undefined)),
    board.lanesOf(search),
  ]);
  return [
    ...(key === undefined ? [] : [{ key, by: 'key' as const }]),
    ...byJob.map((its) => ({ key: its, by: 'job' as const })),
  ];
}

async function isKnown(board: Board, key: string): Promise<boolean> {
  try {
    checkKey(key);
  } catch {
    return false;
  }
  const { report, cell } = await board.lane(key);
  return report.length > 0 || report.token > 0 || cell.kind === 'cell';
}
