/** How a run, and many of them, are told to people. */
import type { RunOptions } from './options.ts';
import type { SimulationReport } from './simulate.ts';

/** Lines of the trace before a violation. */
const LINES_SHOWN = 60;

export interface Summary {
  readonly from: number;
  readonly count: number;
  /** Seeds, in their order. */
  readonly failed: readonly number[];
  readonly seconds: number;
  readonly events: number;
  /** Of all runs' hashes: the same seeds give the same one, on however many processes. */
  readonly hash: number;
  readonly counts: Readonly<Record<string, number>>;
}

export function optionsText({ settings, kinds, ...options }: RunOptions): string {
  const used = kinds.map((kind) => `${kind} (${Object.values(settings[kind]).join(', ')})`);
  return `options: ${JSON.stringify({ ...options, updates: used }, null, 1).replaceAll(/\n\s*/g, ' ')}`;
}

export function failureText(
  report: SimulationReport,
  canary: string | undefined,
  transactions: boolean,
): string {
  const { seed, options, lines, violations } = report;
  const more = `${transactions ? ' --transactions' : ''}${canary === undefined ? '' : ` --canary "${canary}"`}`;
  return [
    `seed ${seed} FAILED: ${violations.map(({ promise, what }) => `${promise}: ${what}`).join('\n')}`,
    optionsText(options),
    ...lines.slice(-LINES_SHOWN),
    `repeat it with: npm run sim -- --seed ${seed} --trace${more}`,
    '',
  ].join('\n');
}

export function summaryText(summary: Summary): string {
  const { from, count, failed, seconds, events, hash, counts } = summary;
  const faults = Object.entries(counts).filter(([name]) => name.startsWith('fault '));
  const happened = Object.entries(counts).filter(([name]) => !name.startsWith('fault '));
  const list = (entries: readonly (readonly [string, number])[]): string =>
    entries
      .toSorted(([, a], [, b]) => b - a)
      .map(([name, times]) => `${name.replace('fault ', '')} ${times}`)
      .join(', ');
  return [
    `faults: ${list(faults)}`,
    `events: ${list(happened)}`,
    `${count} seeds from ${from}: ${failed.length === 0 ? 'none failed' : `${failed.length} FAILED (${failed.slice(0, 10).join(', ')})`}`,
    `${seconds.toFixed(1)} s, ${(count / seconds).toFixed(0)} seeds/s, ${(events / count).toFixed(0)} steps per seed, hash ${hash.toString(16).padStart(8, '0')}`,
  ].join('\n');
}
