/** A cell as it is known at one point of a turn: read from memcached, or just committed. */
import { type CellContent, decodeItem } from '../../cells/envelope.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { Cas, Item } from '../../memcached/server.ts';
import type { FittingBatch } from '../fold/batch.ts';

export interface KnownCell {
  readonly content: CellContent;
  /** Undefined: there is no item, so the commit must be an `add`. */
  readonly cas: Cas | undefined;
  /** The value, a new copy each time. */
  readonly fresh: () => unknown;
}

export const NO_CELL: KnownCell = {
  content: { kind: 'missing' },
  cas: undefined,
  fresh: () => undefined,
};

export function knownCell(item: Item): KnownCell {
  const content = decodeItem(item);
  return { content, cas: item.cas, fresh: freshValues(content, () => valueOf(decodeItem(item))) };
}

/** Without what only a successor needs of an envelope (jobs, late, origin): the turn goes on with it only once it is acknowledged. */
export function committedCell(
  { batch, valueJson, expireMs }: FittingBatch,
  taken: Taken,
  cas: Cas,
  queue: string,
): KnownCell {
  const content: CellContent = {
    kind: 'envelope',
    envelope: {
      value: batch.value,
      watermark: batch.watermark,
      token: taken.token,
      base: taken.copy.token,
      queue,
      dataSet: taken.dataSet.id,
      decisions: batch.decisions,
      expireMs,
    },
  };
  return {
    content,
    cas,
    fresh: freshValues(content, () =>
      valueJson === undefined ? undefined : JSON.parse(valueJson),
    ),
  };
}

/** The first fold may have the value that is at hand; only another one, after it was spoilt, must parse again. */
function freshValues(content: CellContent, again: () => unknown): () => unknown {
  let first = true;
  return () => {
    if (!first) return again();
    first = false;
    return valueOf(content);
  };
}

function valueOf(content: CellContent): unknown {
  return content.kind === 'envelope' ? content.envelope.value : undefined;
}
