/** The GitHub Action: its script, run as GitHub runs it, in a project with Toril installed. */
import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { History, linesOf } from '../support/recorded.ts';
import { type Ended, UserProject } from '../support/user-project.ts';

const ROOT = new URL('../../', import.meta.url);
const SCRIPT = fileURLToPath(new URL('action/replay.mjs', ROOT));

const updates = (more: string): string => `import { defineUpdate } from 'toril';
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
/** @param id behind each job's number */
const recordingOf = (key: string, id = ''): string => {
  const history = new History();
  for (const cents of [10, 20, 30]) {
    history.step(key, [['deposit', cents]], { full: true });
    history.amend(({ jobs, ...commit }) => ({
      ...{ ...commit, jobs: jobs.map((job) => ({ ...job, id: job.id + id })) },
    }));
  }
  return linesOf(history.commits).join('');
};
/** Tries to get out of a code span, a fence, a table and a workflow command. */
const HOSTILE = 'a`|\n```\n::warning::x%0A<img src=x>';

let project: UserProject;
beforeAll(() => {
  project = new UserProject();
});
afterAll(() => project.remove());
beforeEach(() => {
  project.write('updates.mjs', updates('more'));
  project.write('recordings/ada.jsonl', recordingOf('ada'));
  project.write('summary.md', '');
  project.write('output.txt', '');
});

/** The variables that action.yml sets. */
function act(inputs: Readonly<Record<string, string>>): Promise<Ended> {
  return project.node([SCRIPT], '', {
    TORIL_UPDATES: 'updates.mjs',
    TORIL_RECORDINGS: 'recordings',
    GITHUB_STEP_SUMMARY: project.at('summary.md'),
    GITHUB_OUTPUT: project.at('output.txt'),
    ...inputs,
  });
}
const written = (file: string): string => readFileSync(project.at(file), 'utf8');

test('green: every recording has a row', async () => {
  project.write('more.jsonl', recordingOf('bob'));
  const { code, stdout } = await act({ TORIL_RECORDINGS: '\n recordings \nmore.jsonl\n' });
  expect(stdout).toBe('verdict: agrees\n');
  expect(code).toBe(0);
  expect(written('output.txt')).toBe('verdict=agrees\n');
  expect(written('summary.md')).toBe(
    `## Toril replay

| recording | | commits checked | jobs | keys |
| --- | --- | ---: | ---: | ---: |
| \`recordings/ada.jsonl\` | ✅ agrees | 3 of 3 | 3 | 1 |
| \`more.jsonl\` | ✅ agrees | 3 of 3 | 3 | 1 |

`,
  );
});

test('red: the job is named, with both values', async () => {
  project.write('updates.mjs', updates('(more === 20 ? 21 : more)'));
  const { code, stdout } = await act({});
  expect(stdout).toContain(
    '::error title=Toril replay::recordings/ada.jsonl differs: key ada first at line 3, job 2 (deposit)\n',
  );
  expect(code).toBe(1);
  expect(written('output.txt')).toBe('verdict=differs\n');
  const summary = written('summary.md');
  expect(summary).toContain('| `recordings/ada.jsonl` | ❌ differs | 2 of 3 | 3 | 1 |');
  expect(summary).toContain('First at line 3: job `2` (`deposit`).');
  expect(summary).toMatch(/```diff\n[^`]*- {2}"cents": 30,\n\+ {2}"cents": 31,/);
});

test('what could not be checked is no green', async () => {
  const history = new History().unrecorded('ada', [['deposit', 1]]).step('ada', [['deposit', 2]]);
  project.write('late.jsonl', linesOf(history.commits).join(''));
  const late = { TORIL_RECORDINGS: 'late.jsonl\nrecordings' };
  expect((await act(late)).code).toBe(7);
  expect(written('summary.md')).toContain('1 commits of `late.jsonl` not checked: `before-start`');
  expect(written('output.txt')).toBe('verdict=not-checked\n');
});

describe('bad input', () => {
  test.each<[string, Readonly<Record<string, string>>, RegExp]>([
    ['no recordings', { TORIL_RECORDINGS: ' ' }, /The input "recordings" is missing/],
    ['a folder without any', { TORIL_RECORDINGS: 'empty' }, /The folder empty has no recordings/],
    [
      'no such file',
      { TORIL_RECORDINGS: 'none.jsonl' },
      /error BAD_FILE: none.jsonl cannot be read/,
    ],
    ['no such module', { TORIL_UPDATES: 'none.mjs' }, /error BAD_FILE: there is no file none.mjs/],
    ['a damaged file', { TORIL_RECORDINGS: 'damaged.jsonl' }, /RECORDING_DAMAGED: line 3 of/],
  ])('%s', async (_, inputs, message) => {
    mkdirSync(project.at('empty'), { recursive: true });
    project.write('damaged.jsonl', recordingOf('ada').replace('"cents":20', '"cents":21'));
    const { code, stdout } = await act(inputs);
    expect(stdout).toMatch(message);
    expect(stdout).toMatch(/^::error title=Toril replay::/);
    expect(code).toBe(2);
    expect(written('output.txt')).toBe('verdict=failed\n');
    expect(written('summary.md')).toContain('## Toril replay\n');
  });

  test('hostile text stays text', async () => {
    project.write('updates.mjs', updates('1'));
    project.write('recordings/ada.jsonl', recordingOf(HOSTILE, HOSTILE));
    const { stdout } = await act({});
    expect(stdout.match(/^::/gm)).toHaveLength(1);
    // Of the key and of the job: a percent sign of their own is none of the command's.
    expect(stdout.match(/%250A<img/g)).toHaveLength(2);
    const summary = written('summary.md');
    // Outside of spans and blocks of code, nothing of it is left.
    const outside = summary
      .replaceAll(/^(`{3,})\w*\n[\s\S]*?^\1$/gm, '')
      .replaceAll(/(?<!`)(`+)(?!`)[^\n]*?[^`]\1(?!`)/g, '');
    expect(outside).not.toMatch(/<img|::warning/);
  });
});

test('action.yml passes inputs by variables only, those that the script reads', () => {
  const yaml = readFileSync(new URL('action.yml', ROOT), 'utf8');
  const inputs = [...yaml.matchAll(/^ {2}([a-z-]+):\n {4}description/gm)].map(
    ([, name = '']) => name,
  );
  const passed = [...yaml.matchAll(/^ {8}TORIL_(\w+): \$\{\{ inputs\.([a-z-]+) \}\}$/gm)];
  expect(passed.map(([, , input]) => input)).toEqual(inputs.filter((name) => name !== 'verdict'));
  const script = readFileSync(SCRIPT, 'utf8');
  for (const [, variable = ''] of passed) {
    expect(script).toMatch(new RegExp(`TORIL_${variable}'|required\\('${variable}'\\)`));
  }
  expect(/run: (.*)/.exec(yaml)?.[1]).not.toContain('${{');
});
