/**
 * The GitHub Action (action.yml): replays recordings with the project's own Toril, and writes what came out
 * into the job's summary. It runs before anything of this repository is built, so it needs nothing but Node.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { summaryOf } from './summary.mjs';

/** @import { Outcome } from './summary.mjs' */

const { env } = process;

/**
 * @param {string} name
 * @returns {string}
 */
function required(name) {
  const value = env[`TORIL_${name}`]?.trim() ?? '';
  if (value === '') throw new Error(`The input "${name.toLowerCase()}" is missing.`);
  return value;
}

/**
 * The command line of the Toril that the project depends on.
 * @returns {string}
 */
function mainOfToril() {
  const require = createRequire(join(process.cwd(), 'package.json'));
  let file;
  try {
    file = require.resolve('toril/package.json');
  } catch {
    throw new Error('The project does not have Toril installed. Run "npm ci" in a step before this one.');
  }
  const { bin } = JSON.parse(readFileSync(file, 'utf8'));
  return join(dirname(file), bin.toril);
}

/**
 * @param {string} text paths of files and folders, one per line
 * @returns {string[]}
 */
function filesOf(text) {
  const paths = text.split('\n').flatMap((line) => line.trim() || []);
  return paths.flatMap((path) => {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
    const found = readdirSync(path).filter((name) => /\.jsonl(\.gz)?$/.test(name));
    if (found.length === 0) throw new Error(`The folder ${path} has no recordings (.jsonl, .jsonl.gz).`);
    return found.toSorted().map((name) => join(path, name));
  });
}

/**
 * @param {string} main
 * @param {string} file
 * @returns {Promise<Outcome>}
 */
async function replay(main, file) {
  const args = [main, 'replay', file, '--updates', required('UPDATES'), '--json'];
  const former = env['TORIL_FORMER']?.trim();
  if (former) args.push('--former', former);
  const allowed = env['TORIL_ALLOW_UNCHECKED']?.trim();
  if (allowed) args.push('--allow-unchecked', allowed);
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  const lines = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
  const total = lines.pop();
  return { file, code: code ?? 1, keys: lines, total, stderr };
}

/** @param {unknown} text */
function inCommand(text) {
  return String(text).replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/**
 * @param {string | undefined} file
 * @param {string} text
 */
function append(file, text) {
  if (file) appendFileSync(file, text);
}

async function main() {
  const toril = mainOfToril();
  const outcomes = [];
  for (const file of filesOf(required('RECORDINGS'))) outcomes.push(await replay(toril, file));
  const { markdown, verdict, errors } = summaryOf(outcomes);
  append(env['GITHUB_STEP_SUMMARY'], markdown);
  append(env['GITHUB_OUTPUT'], `verdict=${verdict}\n`);
  for (const error of errors) console.log(`::error title=Toril replay::${inCommand(error)}`);
  console.log(`verdict: ${verdict}`);
  process.exitCode = Math.max(...outcomes.map(({ code }) => code));
}

try {
  await main();
} catch (thrown) {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  append(env['GITHUB_STEP_SUMMARY'], summaryOf([]).markdown);
  append(env['GITHUB_OUTPUT'], 'verdict=failed\n');
  console.log(`::error title=Toril replay::${inCommand(message)}`);
  process.exitCode = 2;
}
