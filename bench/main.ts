/** `npm run bench`: measures, prints tables, and ends with 1 if Toril lost, doubled or reordered anything. */
import { writeFileSync } from 'node:fs';
import { type Arguments, parseArguments } from './arguments.ts';
import type { Bench } from './bench.ts';
import { chartOf } from './chart.ts';
import { writeDocs } from './docs.ts';
import { familyOf } from './families/families.ts';
import { enter } from './front-door.ts';
import { describeMachine } from './machine.ts';
import { type OwnPostgres, findPostgres } from './postgres.ts';
import { type Progress, progressOn } from './progress.ts';
import { brokePromise, type Row } from './row.ts';
import { scorecardOf } from './scorecard.ts';
import { sheetsOf } from './sheet.ts';
import { Stage } from './stage.ts';
import type { Site } from './system.ts';
import { type SystemName, systemEntry } from './systems.ts';
import { tablesOf } from './table.ts';

async function main(): Promise<number> {
  const given = parseArguments(process.argv.slice(2));
  const progress = progressOn(process.stderr, 'bench');
  const postgres = await postgresFor(given, progress);
  try {
    const stage = await Stage.open(siteOf(postgres));
    try {
      const machine = await describeMachine(stage);
      const rows = await measure(given, stage, progress);
      report(given, rows, machine);
      return rows.some(brokePromise) ? 1 : 0;
    } finally {
      await stage.close();
    }
  } finally {
    await postgres?.stop();
  }
}

async function measure(given: Arguments, stage: Stage, progress: Progress): Promise<Row[]> {
  const { quick, runs, jobs, slowRunSeconds, cells, systems } = given;
  const missing = new Set<SystemName>();
  const bench: Bench = {
    stage,
    progress,
    options: { quick, runs, jobs, slowRunSeconds, cells },
    choose(candidates) {
      const asked = candidates.filter((name) => systems.length === 0 || systems.includes(name));
      return asked.filter((name) => {
        const reason = reasonToSkip(name, stage.site);
        if (reason !== undefined && !missing.has(name)) progress.say(`${name} left out: ${reason}`);
        if (reason !== undefined) missing.add(name);
        return reason === undefined;
      });
    },
  };
  const rows: Row[] = [];
  for (const name of given.families) {
    const startedMs = performance.now();
    rows.push(...(await familyOf(name).measure(bench)));
    progress.say(`${name} took ${Math.round((performance.now() - startedMs) / 1000)} s`);
  }
  return rows;
}

function reasonToSkip(name: SystemName, site: Site): string | undefined {
  const { needsPostgres, needsPackage } = systemEntry(name);
  if (needsPostgres && site.postgres === undefined) {
    return 'there is no PostgreSQL here (install it, or set TORIL_POSTGRES to a URL)';
  }
  if (needsPackage !== undefined && !isInstalled(needsPackage)) {
    return `its package is not installed (npm install --no-save ${needsPackage})`;
  }
  return undefined;
}

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}

function report(given: Arguments, rows: readonly Row[], machine: string): void {
  process.stdout.write(`${machine}\n\n${tablesOf([...sheetsOf(rows), scorecardOf(rows)])}\n`);
  if (given.json !== undefined) writeFileSync(given.json, `${JSON.stringify(rows, null, 2)}\n`);
  if (given.svg !== undefined) writeFileSync(given.svg, chartOf(rows));
  if (given.writeDocs) writeDocs(rows, machine);
}

/** Started only for those who need it. */
async function postgresFor(
  { families, systems }: Arguments,
  progress: Progress,
): Promise<OwnPostgres | undefined> {
  const wanted = systems.length === 0 || systems.some((name) => systemEntry(name).needsPostgres);
  if (!wanted || !families.includes('matrix')) return undefined;
  try {
    return await findPostgres();
  } catch (thrown) {
    progress.say(`PostgreSQL does not start: ${String(thrown)}`);
    return undefined;
  }
}

function siteOf(postgres: OwnPostgres | undefined): Site {
  const redis = required('TORIL_REDIS');
  const [memcached = ''] = required('TORIL_MEMCACHED').split(',');
  return {
    redis: redis.includes('://') ? redis : `redis://${redis}`,
    memcached: memcached.trim(),
    postgres: postgres?.url,
    product: new URL('../dist/index.js', import.meta.url).href,
  };
}

function required(variable: string): string {
  const value = process.env[variable];
  if (value !== undefined && value !== '') return value;
  throw new Error(`${variable} is not set. Say "npm run bench", which gets the servers.`);
}

await enter('bench', main);
