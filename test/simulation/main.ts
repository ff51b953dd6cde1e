/**
 * `npm run sim -- --seeds N [--from S]`: that many runs, one after the other on each core.
 * `npm run sim -- --seed X [--trace]`: one run, and what happened in it.
 * `--canary NAME` takes a guard away in either; `--canary list` names them. `--until-failure` ends
 * with the first seed that fails.
 */
import { CANARIES } from './canaries.ts';
import { failureText, optionsText, summaryText } from './report.ts';
import { runSimulation } from './simulate.ts';
import { runShards } from './shards.ts';
import type { Damage } from './world.ts';
import { commandLine, usageError } from '../support/command-line.ts';

const SEEDS_DEFAULT = 2_000;
/** Failing seeds that are told in full. */
const FAILURES_SHOWN = 3;

const USAGE = `npm run sim -- --seeds N [--from S] [--processes P] [--until-failure]   many runs
npm run sim -- --seed S [--trace]                                        one, and what happened in it
  --transactions   with jobs of several keys
  --canary NAME    with a guard taken away; "list" names them`;

const values = commandLine(USAGE, {
  seeds: { type: 'string', default: String(SEEDS_DEFAULT) },
  from: { type: 'string', default: '0' },
  seed: { type: 'string' },
  trace: { type: 'boolean', default: false },
  canary: { type: 'string' },
  processes: { type: 'string', default: '2' },
  transactions: { type: 'boolean', default: false },
  'until-failure': { type: 'boolean', default: false },
});

if (values.canary === 'list') console.log(Object.keys(CANARIES).join('\n'));
else if (values.seed !== undefined) process.exitCode = await runOne(numberOf('seed', values.seed));
else process.exitCode = await runMany();

async function runOne(seed: number): Promise<number> {
  const { transactions } = values;
  const damage = damageOf(values.canary);
  const report = await runSimulation({ seed, traced: true, damage, transactions });
  console.log(optionsText(report.options));
  if (values.trace) for (const line of report.lines) console.log(line);
  for (const { promise, what, atMs } of report.violations) {
    console.log(`${promise} at ${atMs.toFixed(3)} ms: ${what}`);
  }
  const verdict = report.violations.length === 0 ? 'every promise was kept' : 'FAILED';
  console.log(`seed ${seed}: ${verdict}; ${report.events} events, hash ${report.hash}`);
  return report.violations.length === 0 ? 0 : 1;
}

async function runMany(): Promise<number> {
  const from = numberOf('from', values.from);
  const count = numberOf('seeds', values.seeds);
  damageOf(values.canary);
  const { canary, transactions } = values;
  const summary = await runShards({
    from,
    count,
    canary,
    transactions,
    processes: numberOf('processes', values.processes),
    untilFailure: values['until-failure'],
  });
  for (const seed of summary.failed.slice(0, FAILURES_SHOWN)) {
    const damage = damageOf(canary);
    const report = await runSimulation({ seed, traced: true, damage, transactions });
    console.log(failureText(report, canary, transactions));
  }
  console.log(summaryText(summary));
  return summary.failed.length === 0 ? 0 : 1;
}

function damageOf(canary: string | undefined): Damage {
  if (canary === undefined) return {};
  const damage = CANARIES[canary];
  if (damage === undefined)
    usageError(`no canary "${canary}": ${Object.keys(CANARIES).join(', ')}`);
  return damage;
}

function numberOf(option: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  usageError(`--${option} must be a whole number, not ${text}`);
}
