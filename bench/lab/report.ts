/** Trials as tables: a table for each situation, a line for each scheme, a column for each crowd. */
import { whole } from '../number-text.ts';
import type { Grid, Sheet } from '../sheet.ts';
import { SITUATIONS, type Situation } from './faults.ts';
import { SCHEME_NAMES, schemeOf } from './schemes/schemes.ts';
import type { Trial } from './trial.ts';

const CAPTIONS: Readonly<Record<Situation, string>> = {
  calm: 'Calm',
  pause: "A holder's process stands still for longer than the lock lives",
  crash:
    'Four processes are killed: one before its write, three when it has landed and nobody was told',
  'lock evicted': 'Memcached evicts the lock of a holder that is at work, three times',
  'value evicted': 'Memcached evicts the value, five times',
};
const NOTHING_TO_EVICT = 'no lock in memcached';

/** Percentages of the updates that clients were told to be done. */
export interface Shares {
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
}

export function sharesOf(trials: readonly Trial[]): Shares {
  const sum = (of: (trial: Trial) => number): number =>
    trials.reduce((total, trial) => total + of(trial), 0);
  const done = Math.max(
    1,
    sum((trial) => trial.done),
  );
  const percent = (of: (trial: Trial) => number): number => (sum(of) / done) * 100;
  return {
    lost: percent(({ lost }) => lost),
    doubled: percent(({ doubled }) => doubled),
    reordered: percent(({ reordered }) => reordered),
  };
}

export function sheetOf(trials: readonly Trial[]): Omit<Sheet, 'family'> {
  return {
    title: 'The lab: lost / doubled / reordered updates, in per cent',
    grids: SITUATIONS.flatMap((situation) => {
      const own = trials.filter((trial) => trial.situation === situation);
      return own.length === 0 ? [] : gridOf(situation, trials, own);
    }),
    troubles: [],
  };
}

function gridOf(situation: Situation, all: readonly Trial[], own: readonly Trial[]): Grid {
  const crowds = [...new Set(all.map(({ clients }) => clients))].toSorted((a, b) => a - b);
  const schemes = SCHEME_NAMES.filter((name) => all.some(({ scheme }) => scheme === name));
  return {
    caption: `${CAPTIONS[situation]}:`,
    wordColumns: 1,
    heads: [
      'scheme',
      ...crowds.map((clients) => `${whole(clients)} clients`),
      'wedged keys',
      'seconds',
      'stood still, s',
    ],
    lines: schemes.map((name) => {
      const { letter, title, lock } = schemeOf(name);
      const hasNoLock = situation === 'lock evicted' && lock === 'none';
      const trials = own.filter(({ scheme }) => scheme === name);
      const byCrowd = crowds.map((clients) => trials.filter((trial) => trial.clients === clients));
      const each = (text: (trials: readonly Trial[]) => string): string =>
        byCrowd.map((some) => (some.length === 0 ? '-' : text(some))).join(' / ');
      return [
        `(${letter}) ${title}`,
        ...byCrowd.map((some) => (hasNoLock ? NOTHING_TO_EVICT : damageOf(some))),
        trials.length === 0 ? '' : whole(trials.filter(({ wedged }) => wedged).length),
        trials.length === 0 ? '' : each((some) => worst(some, ({ seconds }) => seconds)),
        trials.length === 0 ? '' : each((some) => worst(some, (trial) => trial.standstillSeconds)),
      ];
    }),
  };
}

/** `12.3 / 0 / 41`, and how much was not done in time. */
function damageOf(trials: readonly Trial[]): string {
  if (trials.length === 0) return '';
  const { lost, doubled, reordered } = sharesOf(trials);
  const missing = trials.reduce((sum, { updates, done }) => sum + updates - done, 0);
  const all = trials.reduce((sum, { updates }) => sum + updates, 0);
  const late = missing === 0 ? '' : ` (${percentText((missing / all) * 100)}% not done in time)`;
  return `${[lost, doubled, reordered].map(percentText).join(' / ')}${late}`;
}

/** 0 only where there was none at all, and 100 only where it was all. */
export function percentText(percent: number): string {
  if (percent === 0 || percent === 100) return String(percent);
  if (percent >= 99.5) return '>99';
  if (percent < 0.95) return Math.max(0.01, percent).toFixed(2);
  return percent < 9.95 ? percent.toFixed(1) : whole(percent);
}

function worst(trials: readonly Trial[], of: (trial: Trial) => number): string {
  return Math.max(...trials.map(of)).toFixed(1);
}
