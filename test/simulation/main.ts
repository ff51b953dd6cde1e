/**
 * `npm run sim -- --seeds N --from S`: that many runs, on two processes.
 * `npm run sim -- --seed X [--trace]`: one run, with what happened in it.
 */
import { parseArgs } from 'node:util';
import { runSimulation } from './run.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

if (values.seed !== undefined) {
  const report = await runSimulation({ seed: Number(values.seed), traced: values.trace });
  for (const line of report.lines) console.log(line);
  console.log(report.violations, report.hash, report.events, report.virtualMs);
} else {
  const start = performance.now();
  let events = 0;
  let bad = 0;
  const totals: Record<string, number> = {};
  for (let seed = Number(values.from); seed < Number(values.from) + Number(values.seeds); seed++) {
    const report = await runSimulation({ seed });
    events += report.events;
    for (const [k, v] of Object.entries(report.counts)) totals[k] = (totals[k] ?? 0) + v;
    if (report.violations.length > 0) {
      bad++;
      console.log(seed, report.violations[0]);
    }
  }
  const ms = performance.now() - start;
  console.log({
    bad,
    perSecond: Number(values.seeds) / (ms / 1000),
    events: events / Number(values.seeds),
  });
  console.log(totals);
}
