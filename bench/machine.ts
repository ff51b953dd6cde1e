/** Where the numbers come from. */
import { existsSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseInfo } from './server-meter.ts';
import type { Stage } from './stage.ts';

/** One line. */
export async function describeMachine(
  stage: Pick<Stage, 'redisInfo' | 'memcachedVersion'>,
): Promise<string> {
  const processors = cpus();
  const model = processors[0]?.model.trim() ?? 'unknown processor';
  const redis = parseInfo(await stage.redisInfo()).get('redis_version') ?? 'unknown';
  return [
    `${model}, ${processors.length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `${process.platform} ${process.arch}`,
    `Node ${process.versions.node}`,
    `Redis ${redis}`,
    `memcached ${await stage.memcachedVersion()}`,
    ...['bullmq', 'groupmq', 'graphile-worker', 'pg-boss'].flatMap((name) => versionOf(name) ?? []),
    new Date().toISOString().slice(0, 10),
  ].join(' · ');
}

/** Of this package alone, or shared with the product's. */
const MODULES = ['./node_modules/', '../node_modules/'];

/** `name 1.2.3`; undefined if it is not installed. */
function versionOf(name: string): string | undefined {
  const files = MODULES.map((path) => new URL(`${path}${name}/package.json`, import.meta.url));
  const file = files.find((one) => existsSync(one));
  if (file === undefined) return undefined;
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return `${name} ${version}`;
}
