/**
 * `toril fixture`: a recording and its test, in a project of a user, with Toril compiled. The tests run in
 * Node's runner and in vitest; in Jest (30, 196 packages) they were run by hand, green and red, and only their text is looked at here.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { History, linesOf } from '../support/recorded.ts';
import { UserProject } from '../support/user-project.ts';
import { type CliResult, torilHere } from './cli-runner.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');

const UPDATES = (more = 'more'): string => `import { defineUpdate } from 'toril';
export const deposit = defineUpdate({
  name: 'deposit',
  key: ({ account }) => account,
  initial: () => ({ cents: 0, log: [] }),
  apply: ({ cents, log }, { cents: more }, { sequence }) => ({
    cents: cents + ${more},
    log: [...log, \`+\${more} at \${sequence}\`],
  }),
});
`;
const PLANTED = UPDATES('(more === 20 ? 21 : more)');

const history = new History();
for (let job = 0; job < 30; job++) history.step(`a-${job % 3}`, [['deposit', job + 1]]);
const LINES = linesOf(history.commits);

let project: UserProject;
beforeAll(() => {
  project = new UserProject();
});
afterAll(() => project.remove());

let folders = 0;
/** Of each test its own. */
let folder: string;
beforeEach(() => {
  folders += 1;
  folder = `case-${folders}`;
  write('updates.mjs', UPDATES());
  write('traffic.jsonl', LINES.join(''));
  mkdirSync(at('.git')); // or the runner would be that of this repository
});
afterEach(() => {
  const all = readdirSync(project.at(folder), { recursive: true, encoding: 'utf8' });
  expect(all.filter((name) => name.endsWith('.partial'))).toEqual([]);
});

const at = (path: string): string => join(project.folder, folder, path);
const write = (path: string, content: string | Buffer): string =>
  project.write(join(folder, path), content);
/** From the sources, in this process: one of its own takes a second. */
const fixture = (...args: string[]): Promise<CliResult> =>
  torilHere(['fixture', at('traffic.jsonl'), '-u', at('updates.mjs'), ...args]);
const text = (path: string): string => readFileSync(at(path), 'utf8');

const RUNNERS = {
  node: () => project.node(['--test', at('test')]),
  vitest: () => {
    write('vitest.config.js', 'export default {};\n'); // else it takes this project's own
    return project.node([VITEST, 'run', '--root', at('.')]);
  },
};

describe.each(['node', 'vitest'] as const)('for %s', (runner) => {
  test('is green as it stands, and red after a change, naming the job', async () => {
    const written = await fixture('--out', at('test'), '--runner', runner);
    expect(written).toMatchObject({ code: 0, stderr: '' });
    expect(written.stdout).toContain('traffic.jsonl.gz: 30 commits, 30 jobs, 3 keys\n');
    const green = await RUNNERS[runner]();
    expect(green.stdout).toMatch(runner === 'node' ? /# pass 1\n/ : /1 passed/);
    expect(green.code).toBe(0);
    write('updates.mjs', PLANTED);
    const red = await RUNNERS[runner]();
    expect(red.stdout + red.stderr).toContain('DIFFERS first at line 21');
    expect(red.stdout + red.stderr).toContain('job 20 (deposit)');
    expect(red.code).toBe(1);
  });
});

test.each([
  ['vitest', 'npx vitest run ', RUNNERS.vitest],
  [
    'node',
    'node --import tsx --test ',
    () => project.node(['--import', 'tsx', '--test', at('test/traffic.test.ts')]),
  ],
] as const)('updates in TypeScript have a test in TypeScript, for %s', async (runner, how, run) => {
  const typed = UPDATES().replace('defineUpdate({', 'defineUpdate<string, Account, Amount>({');
  write(
    'updates.ts',
    `interface Account { cents: number; log: string[] }
     interface Amount { account: string; cents: number }\n${typed}`,
  );
  const main = project.at('node_modules/toril/dist/cli/main.js');
  const args = [at('traffic.jsonl'), '-u', at('updates.ts'), '--out', at('test')];
  const written = await project.node([
    ...['--import', 'tsx', main, 'fixture', ...args, '--runner', runner],
  ]);
  expect(written.stdout).toContain(`traffic.test.ts: ${how}`);
  expect(written.code).toBe(0);
  expect(text('test/traffic.test.ts')).toContain(`from '../updates.ts';`);
  expect((await run()).code).toBe(0);
  write('updates.ts', `${text('updates.ts').replace('+ more', '+ more + 1')}`);
  const red = await run();
  expect(red.stdout + red.stderr).toContain('job 1 (deposit)');
  expect(red.code).toBe(1);
});

describe('the runner', () => {
  test.each([
    [{ devDependencies: { vitest: '^4' } }, `import { test } from 'vitest';`, '.mjs'],
    [{ devDependencies: { jest: '^30' } }, `"bull:bank".\nimport { replay } from 'toril';`, '.mjs'],
    [{ type: 'module' }, `import { test } from 'node:test';`, '.js'],
  ])('is the one of the project: %j', async (named, imported, ending) => {
    write('package.json', JSON.stringify(named));
    expect((await fixture('--out', at('a/b'))).code).toBe(0);
    expect(text(`a/b/traffic.test${ending}`)).toContain(imported);
    expect(text(`a/b/traffic.test${ending}`)).toContain(`from '../../updates.mjs';`);
  });
});

test('what was masked is masked in it, and it is green', async () => {
  const mask = project.write(
    at('mask.mjs'),
    'export const data = async (data) => { data.cents = 7; return data; };',
  );
  expect((await fixture('--out', at('test'), '--mask', mask)).code).toBe(0);
  const lines = gunzipSync(readFileSync(at('test/traffic.jsonl.gz'))).toString();
  expect(lines).toContain('"masked":true,"replayable":true');
  expect(lines.match(/"cents":7/g)).toHaveLength(30);
  expect(lines).not.toMatch(/"cents":(?!7)\d/);
  const green = await RUNNERS.node();
  expect(green.stdout).toContain('# pass 1\n');
});

test('a compressed recording is taken from standard input', async () => {
  const args = ['fixture', '-', '-u', at('updates.mjs'), '--out', at('test'), '--name', 'piped'];
  expect((await project.toril(args, gzipSync(LINES.join('')))).code).toBe(0);
  const copied = gunzipSync(readFileSync(at('test/piped.jsonl.gz'))).toString();
  expect(copied).toBe(LINES.join(''));
});

test('what cannot be checked is named in the test, which is green', async () => {
  write('traffic.jsonl', linesOf(history.commits.slice(1)).join(''));
  const written = await fixture('--out', at('test'));
  expect(written.stderr).toContain('allowUnchecked: before-start');
  expect(text('test/traffic.test.mjs')).toContain(`allowUnchecked: ['before-start']`);
  expect((await RUNNERS.node()).code).toBe(0);
});

describe('nothing is written', () => {
  const nothing = (): void => expect(existsSync(at('test'))).toBe(false);

  test('if the updates do not agree with the recording', async () => {
    write('updates.mjs', PLANTED);
    const refused = await fixture('--out', at('test/deep'));
    expect(refused.stdout).toContain('job 20 (deposit)');
    expect(refused.stderr).toContain('Nothing was written');
    expect(refused.code).toBe(1);
    nothing();
  });

  const changed = [...LINES];
  changed[15] = (changed[15] as string).replace('"cents":', '"cents": ');
  const zipped = gzipSync(LINES.join(''));
  const other = `import { defineUpdate } from 'toril';
    export default [defineUpdate({ name: 'other', key: () => 'k', apply: (value) => value })];`;

  test.each<[string, string, string | Buffer, readonly string[], number, RegExp]>([
    ['no file', 'traffic.jsonl/none', '', [], 2, /^error BAD_FILE: .*updates/],
    ['a line was changed', 'traffic.jsonl', changed.join(''), [], 2, /RECORDING_DAMAGED: line 16/],
    ['a line was dropped', 'traffic.jsonl', LINES.toSpliced(9, 1).join(''), [], 2, /line 10 of/],
    ['the end is cut off', 'traffic.jsonl', LINES.slice(0, -1).join(''), [], 2, /has no end/],
    ['it is empty', 'traffic.jsonl', '', [], 2, /BAD_FILE: .*it is empty/],
    ['it is no recording', 'traffic.jsonl', '{}\n', [], 2, /BAD_FILE: .*no header/],
    ['gzip is cut off', 'traffic.jsonl', zipped.subarray(0, -9), [], 2, /RECORDING_DAMAGED/],
    ['no updates', 'updates.mjs', 'export const a = 1;', [], 2, /BAD_FILE: .*exports no updates/],
    ['a module that fails', 'updates.mjs', 'throw new Error("mine")', [], 2, /BAD_FILE: .*mine/],
    ['an unknown update', 'updates.mjs', other, [], 2, /UNKNOWN_UPDATE: .*: deposit/],
    ['no mask', 'mask.mjs', 'export const a = 1;', ['--mask', 'mask.mjs'], 2, /is no mask/],
    [
      'a mask that throws',
      'mask.mjs',
      'export const data = (data, { jobId }) => { if (jobId === "9") throw new Error("mine"); return data; };',
      ['--mask', 'mask.mjs'],
      2,
      /BAD_FILE: the mask failed on job 9: mine/,
    ],
    [
      'a mask that returns nothing',
      'mask.mjs',
      'export const data = () => undefined;',
      ['--mask', 'mask.mjs'],
      2,
      /BAD_FILE: the mask returned nothing .* job 1/,
    ],
    ['a wrong name', 'x', '', ['--name', '../up'], 2, /INVALID_OPTIONS: "..\/up" is no name/],
    ['a wrong runner', 'x', '', ['--runner', 'mocha'], 2, /Allowed choices are vitest, jest, node/],
  ])('%s', async (_, file, content, args, code, message) => {
    if (file === 'traffic.jsonl/none') write('updates.mjs', 'import "./none.mjs";');
    else write(file, content);
    const own = args.map((arg) => (arg === 'mask.mjs' ? at(arg) : arg));
    const refused = await fixture('--out', at('test'), ...own);
    expect(refused.stderr).toMatch(message);
    expect(refused.code).toBe(code);
    nothing();
  });

  test('over what is there, unless it is said', async () => {
    expect((await fixture('--out', at('kept'))).code).toBe(0);
    write('kept/traffic.test.mjs', '// mine\n');
    const refused = await fixture('--out', at('kept'));
    expect(refused.stderr).toContain('error FILE_EXISTS: ');
    expect(refused.code).toBe(2);
    expect(text('kept/traffic.test.mjs')).toBe('// mine\n');
    expect((await fixture('--out', at('kept'), '--force')).code).toBe(0);
    expect(text('kept/traffic.test.mjs')).toContain('expectAgrees');
  });

  test('if the recording can be written and the test cannot', async () => {
    // A folder stands in its place.
    mkdirSync(at('half/traffic.test.mjs'), { recursive: true });
    const refused = await fixture('--out', at('half'), '--force');
    expect(refused.stderr).toContain('error FILE_NOT_WRITTEN: ');
    expect(refused.code).toBe(2);
    expect(readdirSync(at('half'))).toEqual(['traffic.test.mjs']);
  });

  test('where a file is in the way of the folder', async () => {
    write('file', '');
    const refused = await fixture('--out', at('file/test'));
    expect(refused.stderr).toContain('error FILE_NOT_WRITTEN: ');
    expect(refused.code).toBe(2);
  });
});
