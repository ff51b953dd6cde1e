/**
 * `npm run stranger`: the first hour of people who have nothing of ours but the package. It is packed, installed into fresh folders
 * from an empty cache, and used as the documentation says. Needs a registry. Exit code 1 if anything is otherwise.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine } from '../support/command-line.ts';
import { packed } from '../support/packed.ts';
import type { Site, Step } from './project.ts';
import { commonJs, esm, nest, nestBullMQ, next } from './projects.ts';

const PAGE = new URL('../../docs/first-hour.md', import.meta.url);
const TABLE = /(?<=<!-- table -->\n)[\s\S]*(?=<!-- end -->)/;
const USAGE = `npm run stranger -- [--only NAME,NAME] [--write]
  --only    some of: esm, commonjs, nest11, nest12, nest-bullmq, next
  --write   puts the figures into docs/first-hour.md`;

const TRIES: Readonly<Record<string, (site: Site) => Promise<void>>> = {
  esm,
  commonjs: commonJs,
  nest11: (site) => nest(site, '11'),
  nest12: (site) => nest(site, '12'),
  'nest-bullmq': nestBullMQ,
  next,
};

const { only, write } = commandLine(USAGE, {
  only: { type: 'string' },
  write: { type: 'boolean' },
});
// Seconds mean little on a machine that has other work.
const [load = 0] = loadavg();
const toril = await packed();
const cache = mkdtempSync(join(tmpdir(), 'stranger-cache-'));
const steps: Step[] = [];
const site: Site = {
  tarball: toril.tarball,
  cache,
  redisPort: new URL(process.env['TORIL_REDIS'] ?? '').port,
  memcachedPort: process.env['TORIL_MEMCACHED']?.split(':').at(-1) ?? '',
  note: (step) => {
    steps.push(step);
    console.log(rowOf(step));
  },
};
try {
  for (const name of only?.split(',') ?? Object.keys(TRIES)) {
    try {
      await TRIES[name]?.(site);
      console.log(`passed ${name}`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`FAILED ${name}: ${(error as Error).message}`);
    }
  }
  const kilobytes = (bytes: number): string => `${Math.round(bytes / 1000)} kB`;
  const [cpu] = cpus();
  const table = [
    '| project | step | seconds | `node_modules` |',
    '| --- | --- | --- | --- |',
    ...steps.map(rowOf),
    '',
    `The package: ${kilobytes(toril.size)} to fetch, ${kilobytes(toril.unpackedSize)} unpacked. Node ${process.versions.node}, ${cpus().length} × ${cpu?.model ?? 'unknown'}; the machine's load was ${load.toFixed(1)} when it began.`,
    '',
  ].join('\n');
  if (write === true && process.exitCode === undefined)
    writeFileSync(PAGE, readFileSync(PAGE, 'utf8').replace(TABLE, table));
} finally {
  toril.remove();
  rmSync(cache, { recursive: true, force: true });
}

function rowOf({ project, command, seconds, megabytes }: Step): string {
  const size = megabytes === undefined ? '' : `${Math.round(megabytes)} MB`;
  return `| ${project} | \`${command}\` | ${seconds.toFixed(1)} | ${size} |`;
}
