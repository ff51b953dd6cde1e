/**
 * `npm run check`: everything that can be said about the code without a server, in under a minute.
 * All steps run, also after one has failed. `npm run check -- lint types` runs only those.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runChild } from './child.mjs';
import { installDependencies } from './install.mjs';
import { ROOT } from './root.mjs';
import { SetupError, runMain } from './setup-error.mjs';

const FOLDERS = ['src', 'test', 'examples', 'bench', 'scripts'].filter((name) =>
  existsSync(join(ROOT, name)),
);

/** @type {Record<string, string[][]>} */
const STEPS = {
  format: [['biome', 'format', '.']],
  lint: [['oxlint', '--type-aware', '--deny-warnings', ...FOLDERS]],
  types: [
    ['tsc', '-p', 'tsconfig.json'],
    ['tsc', '-p', 'tsconfig.build.json', '--noEmit'], // asks more: isolatedDeclarations
    ['tsc', '-p', 'scripts/tsconfig.json'],
  ],
  unused: [['knip']],
  unit: [['vitest', 'run', '--project', 'unit']],
};

async function main() {
  const chosen = process.argv.slice(2);
  const unknown = chosen.filter((name) => !(name in STEPS));
  if (unknown.length > 0) {
    throw new SetupError(
      `no such step: ${unknown.join(', ')}. There are: ${Object.keys(STEPS).join(', ')}.`,
    );
  }
  await installDependencies(ROOT);
  const names = chosen.length > 0 ? chosen : Object.keys(STEPS);
  const failed = [];
  for (const name of names) {
    const startedMs = performance.now();
    const passed = await runStep(STEPS[name] ?? []);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    console.log(`check: ${name} ${passed ? 'passed' : 'FAILED'} (${seconds} s)\n`);
    if (!passed) failed.push(name);
  }
  if (failed.length > 0) console.log(`check: FAILED: ${failed.join(', ')}`);
  else console.log('check: all passed');
  return failed.length > 0 ? 1 : 0;
}

/** @param {string[][]} commands */
async function runStep(commands) {
  let passed = true;
  for (const command of commands) {
    if ((await runChild(ROOT, command)) !== 0) passed = false;
  }
  return passed;
}

await runMain(main);
