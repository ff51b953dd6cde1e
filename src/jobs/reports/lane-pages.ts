/** Pages of lanes: what may be asked for, and where a page goes on. */
import { TorilError } from '../../errors.ts';
import type { LanePage, LanesRequest } from './lane-report.ts';
import { summaryOf } from './lane-state.ts';
import type { LaneViews, PageRequest } from './lane-views.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 500;
const STATES: readonly string[] = ['all', 'held', 'runnable'];
const ORDERS: readonly string[] = ['oldest', 'newest'];
/** The order, and the first sequence and the key of the last lane. */
const CURSOR = /^(oldest|newest)\.(\d{1,16})\.([\w-]+)$/;

/** @throws TorilError INVALID_OPTIONS */
export async function pageOfLanes(views: LaneViews, request: LanesRequest): Promise<LanePage> {
  const asked = checked(request);
  const { lanes, last } = await views.page(asked);
  return {
    lanes: lanes.flatMap((facts) => summaryOf(facts) ?? []),
    cursor:
      last && `${asked.order}.${last.sequence}.${Buffer.from(last.key).toString('base64url')}`,
  };
}

function checked(request: LanesRequest): PageRequest {
  const { state = 'all', order = 'oldest', limit = LIMIT_DEFAULT, search = '', cursor } = request;
  if (!STATES.includes(state)) throw invalid('state', state, 'all, held or runnable');
  if (!ORDERS.includes(order)) throw invalid('order', order, 'oldest or newest');
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    throw invalid('limit', limit, `a whole number from 1 to ${LIMIT_MAX}`);
  if (typeof search !== 'string') throw invalid('search', search, 'a text');
  if (cursor === undefined) return { state, order, limit, search, after: undefined };
  const [, itsOrder, sequence, key] = CURSOR.exec(String(cursor)) ?? [];
  if (key === undefined || itsOrder !== order)
    throw invalid('cursor', cursor, 'the cursor of a page of this order');
  const after = { sequence: Number(sequence), key: Buffer.from(key, 'base64url').toString() };
  return { state, order, limit, search, after };
}

function invalid(option: string, given: unknown, what: string): TorilError {
  return new TorilError(
    'INVALID_OPTIONS',
    `the option "${option}" of lanes() is ${what}, not ${JSON.stringify(given)?.slice(0, 100)}.`,
  );
}
