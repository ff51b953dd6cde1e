/** The end of a run of commands: everything that was done to the bed is over, and what must be so then. */
import { ExpectationError } from '../assertions/expectation-error.ts';
import {
  expectExactlyOnce,
  expectInOrder,
  expectSequentialFold,
} from '../assertions/expectations.ts';
import { brokenText } from '../../history/invariants/report.ts';
import type { TestBed } from '../bed.ts';
import { expectFailuresOf, expectFoldOfModel } from './model-fold.ts';
import type { BedModel } from './model.ts';

/** Workers that freeze while it is drained, and lanes that are held: each is seen to, one after the other. */
const DRAINS_MAX = 200;

/** @throws Error that names the jobs which are still not done */
export async function settle(model: BedModel, bed: TestBed): Promise<void> {
  bed.fault.memcachedDown(false);
  for (const key of model.foreign) bed.fault.evictCell(key);
  for (let drains = 1; ; drains++) {
    bed.fault.thawWorker();
    try {
      return await bed.drain();
    } catch (thrown) {
      if (thrown instanceof ExpectationError || drains > DRAINS_MAX) throw thrown;
      const held = bed.journal.keys().filter((key) => bed.lane(key).heldBy !== undefined);
      const isFrozen = (thrown as Error).message.includes('is frozen');
      if (held.length === 0 && !isFrozen) throw thrown;
      for (const key of held) await bed.operator(key).drop();
    }
  }
}

/** @throws ExpectationError */
export async function expectSettled(model: BedModel, bed: TestBed): Promise<void> {
  bed.fault.disarm(); // what was armed and never met
  if (bed.journal.keys().length === 0) return;
  for (const job of bed.jobs()) expectFailuresOf(model, job);
  expectExactlyOnce(bed);
  // A key of which no job is decided (its first one holds the lane) has nothing to show.
  const keys = bed.journal.keys().filter((key) => bed.journal.commits(key).length > 0);
  for (const key of keys) {
    if (bed.journal.places(key).some(({ decided }) => decided !== undefined))
      expectInOrder(bed, key);
    if (!(await expectFoldOfModel(model, bed, key))) await expectSequentialFold(bed, key);
  }
  for (const { name, broken } of bed.invariants?.reports() ?? []) {
    if (broken !== undefined) throw new ExpectationError(`${brokenText(name, broken)}.`);
  }
}
