/** What the compiler says to users whose types do not fit: the words that lead to the mistake are among the first. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HEAD = `import { defineCell, defineTransaction, Queue, Worker, openCells } from 'toril';
import { z } from 'zod';
export const account = defineCell({
  name: 'account',
  key: (id: string) => 'account:' + id,
  schema: z.object({ cents: z.number() }),
  initial: () => ({ cents: 0 }),
});
export const deposit = account.update({
  name: 'deposit',
  id: (data: { account: string; cents: number }) => data.account,
  apply: (value, data) => ({ cents: value.cents + data.cents }),
});
export const queue = new Queue('bank', { connection: {} });
export const cells = openCells({ memcached: 'localhost' });
`;

/** A mistake, and what must be said in its line. */
const MISTAKES: Readonly<Record<string, readonly [code: string, said: string]>> = {
  'a Date in a value': [
    `defineCell({ name: 'a', key: String, initial: () => ({ since: new Date() }) });`,
    `Property 'valueMustBeJson' is missing in type '{ name: string; key: StringConstructor; initial: () => { since: Date; }; }' but required in type '{ readonly valueMustBeJson: "value.since is a Date, which JSON does not give back"; }'.`,
  ],
  'a Map deep in a value': [
    `defineCell({ name: 'a', key: String, initial: () => ({ parts: [{ by: new Map<string, number>() }] }) });`,
    '"value.parts[].by is a Map, which JSON does not give back"',
  ],
  'a bigint in a schema': [
    `defineCell({ name: 'a', key: String, schema: z.object({ cents: z.bigint() }) });`,
    '"value.cents is a bigint, which JSON does not give back"',
  ],
  'a schema that makes something else of the value': [
    `defineCell({ name: 'a', key: String, schema: z.string().transform(Number) });`,
    `Types of property 'input' are incompatible.`,
  ],
  'an update with another value': [
    `account.update({ name: 'a', id: (data: { id: string }) => data.id, apply: () => ({ cents: '1' }) });`,
    `Type 'string' is not assignable to type 'number'.`,
  ],
  'an update without an id': [
    `account.update({ name: 'a', apply: (value) => value });`,
    `Property 'id' is missing`,
  ],
  'an update with a key of its own': [
    `account.update({ name: 'a', id: () => 'x', key: () => 'y', apply: (value) => value });`,
    `'key' does not exist in type`,
  ],
  'a transaction that returns too few values': [
    `account.transaction({ name: 'a', ids: (id: string) => [id, 'b'], apply: ([one]) => [one] });`,
    `Source has 1 element(s) but target requires 2.`,
  ],
  'a transaction that returns another value': [
    `account.transaction({ name: 'a', ids: (id: string) => [id, 'b'], apply: ([one]) => [one, { cents: '1' }] });`,
    `Type 'string' is not assignable to type 'number'.`,
  ],
  'a transaction with one key': [
    `defineTransaction({ name: 'a', key: (id: string) => id, apply: (values) => values });`,
    `Did you mean to write 'keys'?`,
  ],
  'a strict transaction': [
    `defineTransaction({ name: 'a', keys: (id: string) => [id, 'b'], apply: (v: [0, 0]) => v, strict: true });`,
    `'strict' does not exist in type`,
  ],
  'the key of a transaction in its context': [
    `account.transaction({ name: 'a', ids: (id: string) => [id, 'b'], apply: (values, _, { key }) => (key, values) });`,
    `Property 'key' does not exist on type 'TransactionContext'.`,
  ],
  'the id of another cell': [
    `await cells.get(account, 7);`,
    `Argument of type 'number' is not assignable to parameter of type 'string'.`,
  ],
  'a field that the value has not': [
    `(await cells.get(account, 'ada'))?.euros;`,
    `Property 'euros' does not exist on type '{ cents: number; }'.`,
  ],
  'data of another update': [
    `await queue.enqueue(deposit, { account: 'ada' });`,
    `Property 'cents' is missing in type '{ account: string; }' but required in type '{ account: string; cents: number; }'.`,
  ],
  'a result of another type': [
    `const text: string = (await queue.enqueue(deposit, { account: 'ada', cents: 1 })).returnvalue; text;`,
    `Type 'void' is not assignable to type 'string'.`,
  ],
  'a worker without updates': [
    `new Worker('bank', { connection: {} });`,
    `Property 'updates' is missing`,
  ],
};

let said: string;
beforeAll(() => {
  mkdirSync(join(ROOT, '.toril'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.toril', 'mistakes-'));
  try {
    writeFileSync(join(folder, 'right.ts'), HEAD);
    for (const [index, [code]] of Object.values(MISTAKES).entries())
      writeFileSync(join(folder, `mistake-${index}.ts`), `${HEAD}\n${code}\n`);
    const paths = { toril: ['../../src/index.ts'] };
    const compilerOptions = { paths, isolatedDeclarations: false, noUnusedLocals: false };
    const include = ['*.ts', '../../src/**/*.d.ts'];
    const config = { extends: '../../tsconfig.json', compilerOptions, include };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const args = [tsc, '-p', folder, '--pretty', 'false'];
    said = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' }).stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what is right is not talked about', () => {
  expect(said).not.toContain('right.ts');
  expect(said.match(/^\S+\.ts\(/gm)?.filter((line) => !line.includes('mistake-'))).toEqual([]);
});

test.each(
  Object.entries(MISTAKES).map(([what, [, words]], index) => [what, index, words] as const),
)('%s', (_what, index, words) => {
  const begins = said.indexOf(`mistake-${index}.ts(`);
  expect(begins).toBeGreaterThan(0);
  const ends = said.indexOf('\n.toril', begins);
  expect(said.slice(begins, ends < 0 ? undefined : ends)).toContain(words);
});
