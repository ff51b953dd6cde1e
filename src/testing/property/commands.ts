/** Commands for fast-check: enqueueing, waiting, and every fault of a bed. */
import type { Arbitrary, AsyncCommand } from 'fast-check';
import type { AnyUpdate, InputOf } from '../../updates/update.ts';
import type { TestBed } from '../bed.ts';
import type { BedFaults } from '../faults/bed-faults.ts';
import type { BedJobOptions } from '../bullmq/job-options.ts';
import { WORKER_MOMENTS } from '../faults/tripwires.ts';
import type { BedModel } from './model.ts';
import { fc } from './peer.ts';

/** Jobs of one update, as they may come. */
export interface JobArbitrary<U extends AnyUpdate = AnyUpdate> {
  readonly update: U;
  readonly data: Arbitrary<InputOf<U>>;
  /** Default: up to three attempts, now and then a backoff or a delay. */
  readonly options?: Arbitrary<BedJobOptions>;
}

export type JobArbitraries<Updates extends readonly AnyUpdate[]> = {
  readonly [Place in keyof Updates]: JobArbitrary<Updates[Place]>;
};

/** Methods of `bed.fault`. */
export type FaultName = Exclude<keyof BedFaults, 'armed' | 'reached' | 'disarm'>;

export type BedCommand = AsyncCommand<BedModel, TestBed>;

type Act = (model: BedModel, bed: TestBed) => void | Promise<void>;
type Can = (model: Readonly<BedModel>) => boolean;

/** One thing that is done to a bed. */
class Command implements BedCommand {
  readonly #words: (model: BedModel) => string;
  readonly #act: Act;
  readonly #can: Can;
  #text = 'not run';

  /** @param words what it does, for the counterexample; asked before it is done */
  constructor(words: (model: BedModel) => string, act: Act, can: Can = () => true) {
    this.#words = words;
    this.#act = act;
    this.#can = can;
  }

  check(model: Readonly<BedModel>): boolean {
    return this.#can(model);
  }

  async run(model: BedModel, bed: TestBed): Promise<void> {
    this.#text = this.#words(model);
    await this.#act(model, bed);
  }

  /** For fast-check: each run has commands of its own, with its own words. */
  [fc.cloneMethod](): Command {
    return new Command(this.#words, this.#act, this.#can);
  }

  toString(): string {
    return this.#text;
  }
}

/** Milliseconds: longer than a pause, than a lease, and than a stalled job is missed, by the default options. */
const ADVANCES_MS = [0, 1_500, 15_000, 75_000];
const ADVANCE_MS_MAX = 20_000;
const DELAY_MS_MAX = 5_000;
const TIMES_MAX = 3;
const PLACES_MAX = 3;

const hasJobs: Can = ({ jobs }) => jobs.length > 0;
/** What memcached loses, comes back from the copies. */
const mayLose: Can = (model) => hasJobs(model) && model.hasCopies;
/** Any number, which is taken to choose among what there is. */
const choice = (): Arbitrary<number> => fc.nat({ max: 50 });
const times = (): Arbitrary<number> => fc.integer({ min: 1, max: TIMES_MAX });

function ofJob(
  words: (id: string) => string,
  act: (id: string, model: BedModel, bed: TestBed) => void,
): (chosen: number) => Command {
  return (chosen) =>
    new Command(
      (model) => words(model.job(chosen).id),
      (model, bed) => act(model.job(chosen).id, model, bed),
      hasJobs,
    );
}

function ofKey(
  name: string,
  can: Can,
  act: (key: string, model: BedModel, bed: TestBed) => void,
): Arbitrary<Command> {
  return choice().map(
    (chosen) =>
      new Command(
        (model) => `${name}(${JSON.stringify(model.key(chosen))})`,
        (model, bed) => act(model.key(chosen), model, bed),
        can,
      ),
  );
}

/** Now, or when the moment comes next: of the n-th time there is no need, since commands follow each other. */
function striking(what: 'crashWorker' | 'freezeWorker'): Arbitrary<Command> {
  const place = fc.option(fc.nat({ max: PLACES_MAX - 1 }), { nil: undefined, freq: 1 });
  const moment = fc.option(fc.constantFrom(...WORKER_MOMENTS), { nil: undefined });
  return fc.tuple(place, moment).map(([worker, when]) => {
    const of = (places: number): number | undefined =>
      worker === undefined ? undefined : worker % places;
    return new Command(
      () => `${what}(${worker ?? ''}${when === undefined ? '' : `, ${when}`})`,
      (model, bed) => {
        bed.fault[what](of(bed.workers), when);
        if (what === 'crashWorker') model.hasCrashed = true;
        else model.mayBeFrozen = true;
      },
      // Where all stand still, nothing more is to be seen.
      ({ mayBeFrozen }) => what === 'crashWorker' || !mayBeFrozen,
    );
  });
}

function forgetting(what: 'flushMemcached' | 'restartMemcached'): Arbitrary<Command> {
  const act: Act = (model, bed) => {
    bed.fault[what]();
    model.foreign.clear();
  };
  return fc.constant(new Command(() => `${what}()`, act, mayLose));
}

const FAULTS: Readonly<Record<FaultName, () => Arbitrary<Command>>> = {
  failNext: () =>
    fc.tuple(choice(), times()).map(([chosen, count]) =>
      ofJob(
        (id) => `failNext(job ${id}, ${count})`,
        (id, _, bed) => bed.fault.failNext(id, 'a fault of the test', count),
      )(chosen),
    ),
  delayNext: () =>
    fc.tuple(choice(), fc.nat({ max: DELAY_MS_MAX })).map(([chosen, ms]) =>
      ofJob(
        (id) => `delayNext(job ${id}, ${ms})`,
        (id, _, bed) => bed.fault.delayNext(id, ms),
      )(chosen),
    ),
  crashNext: () =>
    fc.tuple(choice(), times()).map(([chosen, count]) =>
      ofJob(
        (id) => `crashNext(job ${id}, ${count})`,
        (id, model, bed) => {
          bed.fault.crashNext(id, count);
          model.hasCrashed = true;
        },
      )(chosen),
    ),
  duplicate: () =>
    choice().map(
      ofJob(
        (id) => `duplicate(job ${id})`,
        (id, model, bed) => {
          bed.fault.duplicate(id);
          model.hasCrashed = true; // it comes back as if its worker had died with it
        },
      ),
    ),
  crashWorker: () => striking('crashWorker'),
  freezeWorker: () => striking('freezeWorker'),
  thawWorker: () =>
    fc.constant(
      new Command(
        () => 'thawWorker()',
        (_, bed) => bed.fault.thawWorker(),
        ({ mayBeFrozen }) => mayBeFrozen,
      ),
    ),
  evictCell: () =>
    ofKey('evictCell', mayLose, (key, model, bed) => {
      bed.fault.evictCell(key);
      model.foreign.delete(key);
    }),
  evictLock: () => ofKey('evictLock', hasJobs, (key, _, bed) => void bed.fault.evictLock(key)),
  flushMemcached: () => forgetting('flushMemcached'),
  restartMemcached: () => forgetting('restartMemcached'),
  memcachedDown: () =>
    fc.constant(
      new Command(
        ({ isMemcachedDown }) => `memcachedDown(${!isMemcachedDown})`,
        (model, bed) => {
          model.isMemcachedDown = !model.isMemcachedDown;
          bed.fault.memcachedDown(model.isMemcachedDown);
        },
      ),
    ),
  writeForeign: () =>
    ofKey('writeForeign', mayLose, (key, model, bed) => {
      bed.fault.writeForeign(key, 'a foreign value');
      model.foreign.add(key);
    }),
};

export const FAULT_NAMES: readonly FaultName[] = Object.keys(FAULTS) as FaultName[];

function defaultOptions(): Arbitrary<BedJobOptions> {
  return fc.record(
    {
      attempts: times(),
      backoff: fc.nat({ max: DELAY_MS_MAX }),
      delay: fc.nat({ max: DELAY_MS_MAX }),
    },
    { requiredKeys: [] },
  );
}

function enqueueing({
  update,
  data,
  options = defaultOptions(),
}: JobArbitrary): Arbitrary<Command> {
  return fc.tuple(data, options).map(([given, how]) => {
    const told = Object.keys(how).length === 0 ? '' : `, ${JSON.stringify(how)}`;
    return new Command(
      () => `enqueue(${update.name}, ${JSON.stringify(given)}${told})`,
      async (model, bed) => {
        const known = bed.registry.require(update.name);
        const handle = await bed.enqueue(known, given as never, how);
        const isNew = !model.jobs.some(({ id }) => id === handle.id);
        if (isNew) model.jobs.push({ ...handle, update: known });
      },
    );
  });
}

/** A quarter of them enqueue, and a quarter let time pass, or there would be little to disturb. */
export function commandsOf(
  jobs: readonly JobArbitrary[],
  faults: readonly FaultName[],
): Arbitrary<BedCommand>[] {
  const ms = fc.oneof(fc.constantFrom(...ADVANCES_MS), fc.nat({ max: ADVANCE_MS_MAX }));
  const advance = ms.map(
    (forMs) =>
      new Command(
        () => `advance(${forMs})`,
        (_, bed) => bed.advance(forMs),
      ),
  );
  const enqueue = fc.oneof(...jobs.map(enqueueing));
  const disturb = faults.map((name): Arbitrary<Command> => FAULTS[name]());
  const every = Math.max(1, Math.ceil(disturb.length / 2));
  return [
    ...disturb,
    ...Array<Arbitrary<Command>>(every).fill(enqueue),
    ...Array(every).fill(advance),
  ];
}
