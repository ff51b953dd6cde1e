/**
 * The shard as one file. tsx would keep the name of every function that is ever made, by a call each
 * (8 % of a run), and loads 70 files one by one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const SHARD = fileURLToPath(new URL('shard.ts', import.meta.url));

export interface Bundle {
  readonly path: string;
  remove(): void;
}

export async function bundleShard(): Promise<Bundle> {
  const folder = mkdtempSync(join(tmpdir(), 'toril-simulation-'));
  const path = join(folder, 'shard.mjs');
  const how = { bundle: true, platform: 'node', format: 'esm', target: 'node20' } as const;
  await build({ entryPoints: [SHARD], outfile: path, ...how });
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
