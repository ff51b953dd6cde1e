/**
 * What being observed costs a worker. First the observer alone, per turn. Then whole jobs, every key different, one turn per job:
 * CPU and wall time of a worker's process, in turns with a worker that nobody observes. Each has a process of its own; rounds are
 * short, so that what slows the machine down slows all.
 *
 *   npm run bench:telemetry
 */
import { cpSync } from 'node:fs';
import type { Observation, RoundCost } from './children/observed-process.ts';
import { type Child, Launcher } from './children/launcher.ts';
import { type Clock, systemClock } from '../src/base/clock.ts';
import type { Observer } from '../src/telemetry/observer.ts';
import { byOpenTelemetry, byPrometheus } from './observers.ts';
import { median } from './statistics.ts';

const JOBS = Number(process.env['TORIL_JOBS'] ?? 5_000);
const ROUNDS = Number(process.env['TORIL_ROUNDS'] ?? 40);
const WARM_UP_ROUNDS = 4;

const PACKAGE = new URL('../package.json', import.meta.url);
const PROCESS = new URL('./children/observed-process.ts', import.meta.url);
const servers = {
  redis: process.env['TORIL_REDIS'] ?? 'redis://127.0.0.1:6379',
  memcached: process.env['TORIL_MEMCACHED'] ?? '127.0.0.1:11211',
};
const OBSERVATIONS: Readonly<Record<string, Observation>> = {
  nobody: { by: 'nobody' },
  'nobody again (noise)': { by: 'nobody' },
  "nobody, beside OpenTelemetry's SDK": { by: 'sdk-alone' },
  'Prometheus (--http)': { by: 'prometheus' },
  'OpenTelemetry, no trace sampled': { by: 'opentelemetry', sampled: 0 },
  'OpenTelemetry, 1 % of traces': { by: 'opentelemetry', sampled: 0.01 },
  'OpenTelemetry, all traces': { by: 'opentelemetry', sampled: 1 },
};

interface Measured {
  readonly name: string;
  readonly child: Child;
  readonly costs: RoundCost[];
}

/** CPU microseconds of what a turn tells the observer, at so many turns per second, without all the rest. */
function perTurn(observe: (clock: Clock) => Observer, turnsPerS: number): string {
  const turns = 300_000;
  let nowMs = 0;
  const observer = observe({ ...systemClock, monotonicMs: () => nowMs });
  const backlog = (): Promise<undefined> => Promise.resolve(undefined);
  const sight = () => ({ servers: [], stopped: new Map<string, number>() });
  const worker = observer.worker({ queue: 'cost', backlog, sight });
  const batch = { decided: 1, applied: 1 };
  const run = (): number => {
    const cpu = process.cpuUsage();
    for (let turn = 0; turn < turns; turn++) {
      nowMs += 1_000 / turnsPerS; // (OpenTelemetry goes by the real clock: more turns per second, fewer recorded)
      worker.asksForLease();
      const observed = worker.turn('key', nowMs);
      observed.took([{}]);
      observed.folded(batch);
      observed.committed();
      observed.acknowledged();
      worker.event('committed', { key: 'key', token: turn, jobs: 1 });
      observed.ended({ kind: 'idle' });
    }
    const { user, system } = process.cpuUsage(cpu);
    return (user + system) / turns;
  };
  run();
  return median([run(), run(), run()]).toFixed(2);
}

async function started(launcher: Launcher): Promise<Measured[]> {
  const all: Measured[] = [];
  for (const [name, observation] of Object.entries(OBSERVATIONS)) {
    const child = launcher.launch(PROCESS, () => undefined);
    await child.call('open', { ...servers, observation });
    all.push({ name, child, costs: [] });
  }
  return all;
}

console.log(
  `the observer alone, per turn: Prometheus ${perTurn(byPrometheus, 10_000)} µs at 10,000 turns per second and ${perTurn(byPrometheus, 1_000)} µs at 1,000, OpenTelemetry ${perTurn(() => byOpenTelemetry(0), Number.POSITIVE_INFINITY)} µs with no trace sampled`,
);
const launcher = Launcher.compile();
cpSync(PACKAGE, launcher.compiledFrom(PACKAGE)); // `openTelemetry()` tells its version
const all = await started(launcher);
for (let count = -WARM_UP_ROUNDS; count < ROUNDS; count++) {
  // Each round begins with another one.
  const first = (count + WARM_UP_ROUNDS) % all.length;
  for (const { child, costs } of [...all.slice(first), ...all.slice(0, first)]) {
    const cost = (await child.call('round', JOBS)) as RoundCost;
    if (count >= 0) costs.push(cost);
  }
}
const [nobody] = all as [Measured, ...Measured[]];
for (const { name, costs } of all) {
  const text = (of: keyof RoundCost): string => {
    const values = costs.map((cost) => cost[of]);
    // Each to the one of its own round.
    const ratio = median(values.map((value, at) => value / (nobody.costs[at]?.[of] ?? value)));
    return `${median(values).toFixed(1)} µs per job, ${(100 * (ratio - 1)).toFixed(1)} % more`;
  };
  console.log(`${name.padEnd(34)} CPU ${text('cpuUs')}; wall ${text('wallUs')}`);
}
for (const { child } of all) {
  await child.call('close');
  await child.end();
}
launcher.close();
