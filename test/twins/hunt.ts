/** Runs the proof that must notice a twin, as anyone would run it, and says whether it did. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Tree } from './tree.ts';
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

type Judgement = Pick<Catch, 'caught' | 'by' | 'verdict'>;

/** How a command ended. */
interface Run {
  readonly code: number | null;
  readonly output: string;
}

/** Of a run that was violated in a promise; a crash of the simulation itself is not a catch. */
const FAILED_SEED = /^seed (\d+) FAILED: (P\d): (.*)$/m;
const FAILED_SEARCH = /^FAILED after ([\d,]+) states, in (\d+) steps\. (P\d): (.*)$/m;
const FAILED_TEST = /(?:×|FAIL) .*$/m;
/** The twin is a broken program, not the product without its guard. */
const CRASH = /^(?:TypeError|ReferenceError|SyntaxError): .*$/m;
const SEARCH_SECONDS = '60';
/** Characters of a verdict that are shown. */
const VERDICT_MAX = 160;

/** In a tree that is as it was again when the hunt is over. */
export async function hunt(twin: Twin, tree: Tree): Promise<Catch> {
  const startMs = performance.now();
  const takeBack = tree.plant(twin);
  try {
    const broken = await problemCompiling(tree.folder);
    const judged = broken ?? judge(twin.hunt, await run(commandOf(twin.hunt), tree.folder));
    return { twin, seconds: (performance.now() - startMs) / 1000, ...judged };
  } finally {
    takeBack();
  }
}

function commandOf(hunting: Hunt): string[] {
  switch (hunting.by) {
    case 'simulation': {
      const { from, seeds, transactions } = hunting;
      const range = ['--from', String(from), '--seeds', String(seeds)];
      if (transactions === true) range.push('--transactions');
      const how = ['--processes', '1', '--until-failure'];
      return ['--import', 'tsx', 'test/simulation/main.ts', ...range, ...how];
    }
    case 'search': {
      const flags = [...hunting.flags.split(' '), '--processes', '1', '--seconds', SEARCH_SECONDS];
      return ['--import', 'tsx', 'test/exploration/main.ts', ...flags];
    }
    case 'test':
      return [fileOf('vitest', 'vitest.mjs'), 'run', '--project', projectOf(hunting), hunting.file];
  }
}

/** Vitest's project of a test file: the folder's, or the one for all that is named nowhere. */
function projectOf({ file }: Extract<Hunt, { by: 'test' }>): string {
  return /^test\/(unit|proof|conformance)\//.exec(file)?.[1] ?? 'integration';
}

function fileOf(packageName: string, file: string): string {
  const manifest = createRequire(import.meta.url).resolve(`${packageName}/package.json`);
  return join(dirname(manifest), file);
}

/**
 * A twin that is no program proves nothing: one named a variable that does not exist, and its error kept
 * lanes from draining as well as the guard's absence would have. What is unused without the guard may be.
 */
async function problemCompiling(folder: string): Promise<Judgement | undefined> {
  const flags = ['--noEmit', '--noUnusedLocals', 'false', '--noUnusedParameters', 'false'];
  // Of the next twin in this tree, only what its edits concern is compiled: 2 s instead of 11.
  flags.push('--incremental', '--tsBuildInfoFile', '.tsbuildinfo');
  const { code, output } = await run([fileOf('typescript', 'bin/tsc'), ...flags], folder);
  if (code === 0) return undefined;
  return { caught: false, by: 'the compiler', verdict: tail(output) };
}

function judge(hunting: Hunt, { code, output }: Run): Judgement {
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
      const [crash] = CRASH.exec(output) ?? [];
      const caught = code === 1 && failed !== undefined && crash === undefined;
      return { caught, by: hunting.file, verdict: short(crash ?? failed ?? tail(output)) };
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

function run(args: readonly string[], folder: string): Promise<Run> {
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
