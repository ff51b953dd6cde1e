/** Runs the proof that must notice a twin, as anyone would run it, and says whether it did. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { plant } from './tree.ts';
import type { Hunt, Twin } from './twin.ts';

export interface Catch {
  readonly twin: Twin;
  readonly caught: boolean;
  /** What noticed it, and after how much: "seed 17". */
  readonly by: string;
  /** What it said. */
  readonly verdict: string;
  readonly seconds: number;
}

/** Of a run that was violated in a promise; a crash of the simulation itself is not a catch. */
const FAILED_SEED = /^seed (\d+) FAILED: (P\d): (.*)$/m;
const FAILED_SEARCH = /^FAILED after ([\d,]+) states, in (\d+) steps\. (P\d): (.*)$/m;
const FAILED_TEST = /(?:×|FAIL) .*$/m;
const SEARCH_SECONDS = '60';
/** Characters of a verdict that are shown. */
const VERDICT_MAX = 160;

export async function hunt(twin: Twin): Promise<Catch> {
  const startMs = performance.now();
  const tree = plant(twin);
  try {
    const { code, output } = await run(commandOf(twin.hunt), tree.folder);
    const seconds = (performance.now() - startMs) / 1000;
    return { twin, seconds, ...judge(twin.hunt, code, output) };
  } finally {
    tree.remove();
  }
}

function commandOf(hunting: Hunt): string[] {
  switch (hunting.by) {
    case 'simulation': {
      const { from, seeds } = hunting;
      const range = ['--from', String(from), '--seeds', String(seeds)];
      const how = ['--processes', '1', '--until-failure'];
      return ['--import', 'tsx', 'test/simulation/main.ts', ...range, ...how];
    }
    case 'search': {
      const flags = [...hunting.flags.split(' '), '--processes', '1', '--seconds', SEARCH_SECONDS];
      return ['--import', 'tsx', 'test/exploration/main.ts', ...flags];
    }
    case 'test':
      return [vitest(), 'run', '--project', 'unit', hunting.file];
  }
}

function vitest(): string {
  const manifest = createRequire(import.meta.url).resolve('vitest/package.json');
  return join(dirname(manifest), 'vitest.mjs');
}

function judge(
  hunting: Hunt,
  code: number | null,
  output: string,
): Pick<Catch, 'caught' | 'by' | 'verdict'> {
  switch (hunting.by) {
    case 'simulation': {
      const [, seed, promise, what] = FAILED_SEED.exec(output) ?? [];
      if (code === 1 && seed !== undefined) {
        return { caught: true, by: `seed ${seed}`, verdict: short(`${promise}: ${what}`) };
      }
      const by = `${hunting.seeds} seeds from ${hunting.from}`;
      return { caught: false, by, verdict: code === 0 ? 'nothing' : tail(output) };
    }
    case 'search': {
      const [, states, steps, promise, what] = FAILED_SEARCH.exec(output) ?? [];
      if (code === 1 && states !== undefined) {
        const by = `search, ${states} states, in ${steps} steps`;
        return { caught: true, by, verdict: short(`${promise}: ${what}`) };
      }
      const by = `npm run explore -- ${hunting.flags}`;
      return { caught: false, by, verdict: code === 0 ? 'nothing' : tail(output) };
    }
    case 'test': {
      const [failed] = FAILED_TEST.exec(output) ?? [];
      const caught = code === 1 && failed !== undefined;
      return { caught, by: hunting.file, verdict: short(failed ?? tail(output)) };
    }
  }
}

function short(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= VERDICT_MAX ? line : `${line.slice(0, VERDICT_MAX)}…`;
}

function tail(output: string): string {
  return output.trim().split('\n').slice(-12).join('\n');
}

function run(
  args: readonly string[],
  folder: string,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}
