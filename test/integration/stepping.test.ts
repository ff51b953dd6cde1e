/** `toril replay --step` and `--page`. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script, createContext } from 'node:vm';
import { afterAll, describe, expect, test } from 'vitest';
import { History, linesOf } from '../support/recorded.ts';
import { type CliResult, startToril, toril, torilHere } from './cli-runner.ts';

const RECORDED = fileURLToPath(new URL('../support/recorded.ts', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'toril-step-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);
const write = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};

const history = new History();
for (const cents of [10, 20, 30]) history.step('ada', [['deposit', cents]], { full: true });
const recording = write('three.jsonl', linesOf(history.commits).join(''));
const updates = write('same.ts', `export { deposit, interest } from ${JSON.stringify(RECORDED)};`);
const planted = write(
  'planted.ts',
  `import { deposit } from ${JSON.stringify(RECORDED)};
   export default [{ ...deposit, apply: (value, data, context) => {
     const right = deposit.apply(value, data, context);
     return data.cents === 20 ? { ...right, cents: 0 } : right;
   } }];`,
);

const step = (commands: string, ...flags: string[]): Promise<CliResult> =>
  toril(['replay', recording, '-u', updates, '--key', 'ada', '--step', ...flags], {
    input: commands,
  });

describe('commands through a pipe', () => {
  test('go forwards, back, to a job, and until a condition', async () => {
    const { code, stdout, stderr } = await step(
      [
        'next',
        'next 2',
        'next',
        'b',
        'job 1',
        'until value.cents > 50',
        'until false',
        'value',
        'first',
        'q',
        'next',
        '',
      ].join('\n'),
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const places = [...stdout.matchAll(/^> (.*)\n(?: {2}|(.*?)(?: of 3)?: )?/gm)];
    expect(places.map(([, command, place]) => [command, place])).toEqual([
      ['next', '1'],
      ['next 2', '3'],
      ['next', undefined],
      ['b', '2'],
      ['job 1', '1'],
      ['until value.cents > 50', '3'],
      ['until false', undefined],
      ['value', undefined],
      ['first', 'ada of bull:bank'],
      ['q', undefined],
    ]);
    expect(stdout).toContain('> next\nThis is the last job.\n');
    expect(stdout).toContain('> until false\nNowhere from here on.\n');
    expect(stdout).toContain('> value\n{\n  "cents": 60,\n');
    expect(stdout).toContain('    -  "cents": 30,\n    +  "cents": 60,');
    expect(stdout).toContain('end of its commit: as recorded');
  });

  test('that make no sense are told, and end with 2', async () => {
    const { code, stdout, stderr } = await step(
      'jump\njob 77\nnext many\nuntil value.\nuntil value.none.cents\nnext\n',
    );
    expect(stderr).toContain(
      'error INVALID_OPTIONS: there is no command "jump": help has them all',
    );
    expect(stderr).toContain('the key has no job 77 in this recording');
    expect(stderr).toContain('"many" is no number of jobs');
    expect(stderr).toContain('the condition value. cannot be asked');
    expect(stderr).toContain('job 1: Cannot read properties of undefined');
    expect(stdout).toContain('1 of 3: job 1');
    expect(code).toBe(2);
  });

  test('find where today differs, with both values', async () => {
    const { code, stdout } = await step('differs\nnext\n', '-u', planted);
    expect(stdout).toContain('2 of 3: job 2 (deposit) at line 3');
    expect(stdout).toContain('DIFFERS from what was recorded');
    expect(stdout).toMatch(/- {2}"cents": 30,\n +\+ {2}"cents": 0,/);
    expect(stdout).toContain('not checked, the key differs before them');
    expect(code).toBe(0);
  });
});

test('a signal ends it at once, and leaves nothing', async () => {
  const running = startToril(['replay', recording, '-u', updates, '--key', 'ada', '--step'], {
    keepsInput: true,
  });
  await running.printed('Before the first one.');
  running.signal('SIGINT');
  const { stderr } = await running.ended();
  expect(stderr).toBe('');
  expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
});

test.each([
  [['--step'], /--step and --page need --key/],
  [['--page', 'x.html'], /--step and --page need --key/],
  [['--step', '--key', 'eve'], /NOTHING_RECORDED/],
  [['--step', '--key', 'ada', '--live'], /--step and --page take no --live/],
])('%j is refused', async (flags, message) => {
  const { code, stderr } = await torilHere(['replay', recording, '-u', updates, ...flags]);
  expect(stderr).toMatch(message);
  expect([2, 4]).toContain(code);
});

/** As much of a page as its script needs. */
class Page {
  readonly #elements = new Map<string, Record<string, unknown>>();
  readonly html: string;

  constructor(html: string) {
    this.html = html;
    const scripts = [...html.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)];
    this.element('steps')['textContent'] = scripts[0]?.[2];
    const document = {
      getElementById: (id: string) => this.element(id),
      createElement: () => ({}),
    };
    new Script(scripts[1]?.[2] ?? '').runInContext(createContext({ document }));
  }

  element(id: string): Record<string, unknown> {
    let element = this.#elements.get(id);
    if (element === undefined) {
      const lines = (...shown: { textContent: string }[]): void => {
        const text = shown.map(({ textContent }) => textContent).join('\n');
        (element as Record<string, unknown>)['textContent'] = text;
      };
      element = { replaceChildren: lines, value: '' };
      this.#elements.set(id, element);
    }
    return element;
  }

  text(id: string): string {
    return String(this.element(id)['textContent']);
  }

  click(id: string): void {
    (this.element(id)['onclick'] as () => void)();
  }

  submit(form: string, field: string, value: string): void {
    this.element(field)['value'] = value;
    const event = { preventDefault: () => undefined };
    (this.element(form)['onsubmit'] as (given: typeof event) => void)(event);
  }
}

async function pageOf(file: string, key: string): Promise<Page> {
  const out = at('page.html');
  const args = ['replay', file, '-u', updates, '--key', key, '--page', out];
  const { code, stdout } = await torilHere(args);
  expect(stdout).toContain(`${out}: `);
  expect(code).toBe(0);
  return new Page(readFileSync(out, 'utf8'));
}

describe('the page', () => {
  test('does the same without a server', async () => {
    const page = await pageOf(recording, 'ada');
    expect(page.html).not.toMatch(/(?:src|href)=|https?:/);
    expect(page.text('job')).toBe('Before the first job');
    page.click('next');
    page.click('next');
    expect(page.text('job')).toContain('Job 2 (deposit) at line 3');
    expect(page.text('before')).toContain('"cents": 10');
    expect(page.text('after')).toContain('"cents": 30');
    expect(page.text('commit')).toBe('End of its commit: as recorded.');
    page.click('back');
    expect(page.text('after')).toContain('"cents": 10');
    page.submit('to-job', 'id', '3');
    expect(page.text('place')).toBe('3 of 3');
    page.click('first');
    page.submit('until', 'condition', 'value.cents > 20');
    expect(page.text('place')).toBe('2 of 3');
    page.submit('until', 'condition', 'value.cents > 99');
    expect([page.text('place'), page.text('said')]).toEqual(['2 of 3', 'Nowhere from here on.']);
    page.submit('until', 'condition', 'value.');
    expect(page.text('said')).toContain('SyntaxError');
  });

  test('shows hostile values as text, and nothing of them becomes a tag', async () => {
    const hostile = '</script><img src=x onerror=alert(1)><!--"\u2028&amp;';
    const other = new History().step(hostile, [['deposit', 1]]);
    const page = await pageOf(write('hostile.jsonl', linesOf(other.commits).join('')), hostile);
    expect(page.html.match(/<script/g)).toHaveLength(2);
    expect(page.html).not.toContain('<img');
    expect(page.html).toContain('&lt;/script&gt;&lt;img src=x');
    page.click('next');
    expect(page.text('data')).toContain(JSON.stringify(hostile).slice(1, -1));
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page.html)?.[1];
    expect(policy).toMatch(/^default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-/);
  });

  test('is not half-written', async () => {
    const args = ['replay', recording, '-u', updates, '--key', 'ada', '--page', '/dev/full'];
    const { code, stderr } = await torilHere(args);
    expect(stderr).toContain('error FILE_NOT_WRITTEN: /dev/full');
    expect(code).toBe(2);
  });
});
