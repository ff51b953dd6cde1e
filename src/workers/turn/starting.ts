/** Where a fold begins: the cell that can be believed, the copy, a foreign value taken over, or nothing. */
import { assert } from '../../base/assert.ts';
import type { Standing } from '../../cells/believe.ts';
import { messageOf, TorilError } from '../../errors.ts';
import type { Origin } from '../../history/history.ts';
import { asJsonValue } from '../../updates/json-value.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { FoldStart } from '../fold/batch.ts';
import type { GateContext } from '../gate-context.ts';
import type { KnownCell } from './known-cell.ts';

export type Startable = Exclude<Standing, { kind: 'refused' | 'unacknowledged' }>;

/** Returns, not throws, the error if nobody but an operator can tell where to begin. */
export function startFrom(
  standing: Startable,
  taken: Taken,
  cell: KnownCell,
  key: string,
  context: GateContext,
): FoldStart | TorilError {
  switch (standing.kind) {
    case 'clean':
      return foldStart(taken, 'base', cell.fresh);
    case 'fresh':
      return foldStart(taken, 'nothing', nothing);
    case 'foreign': {
      const adopted = adopt(standing.bytes, taken, key, context);
      if (adopted instanceof TorilError) return adopted;
      return foldStart(taken, { adopted }, () => JSON.parse(adopted));
    }
    case 'restore': {
      const { value } = taken.copy;
      assert(value !== 'not-sent', 'a copy is sent unless its cell is believed');
      if (value === 'not-kept') context.report('cellLost', { key });
      else if (value !== 'deleted') context.report('cellRestored', { key, found: 'missing' });
      const json = typeof value === 'object' ? value.json : undefined;
      if (json === undefined) return foldStart(taken, 'nothing', nothing);
      return foldStart(taken, 'base', () => JSON.parse(json));
    }
  }
}

function foldStart({ copy, token }: Taken, origin: Origin, fresh: () => unknown): FoldStart {
  return { fresh, origin, token, watermark: copy.watermark, cascadeTo: copy.cascadeTo };
}

function nothing(): undefined {
  return undefined;
}

/** The adopted value as JSON. */
function adopt(
  bytes: Buffer,
  taken: Taken,
  key: string,
  context: GateContext,
): string | TorilError {
  const update = taken.entries
    .map(({ name }) => context.registry.find(name))
    .find((found) => found?.adopt !== undefined);
  if (update?.adopt === undefined) {
    return new TorilError(
      'FOREIGN_VALUE',
      `memcached holds a value under "${key}" that Toril did not write. Delete it, use another key, or give the update an "adopt" function that takes it over.`,
    );
  }
  try {
    const json = JSON.stringify(asJsonValue(update.adopt(bytes, key), update.name));
    context.report('cellAdopted', { key });
    return json;
  } catch (cause) {
    const what = `"adopt" of the update "${update.name}" failed on the value under "${key}": ${messageOf(cause)}`;
    return new TorilError('FOREIGN_VALUE', what, { cause });
  }
}
