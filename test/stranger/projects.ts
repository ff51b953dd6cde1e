/** The first tries of five strangers. Each ends by itself, or says what was otherwise than the documentation has it. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { stepsOf } from '../support/pages.ts';
import { PAGE_TOKEN, Project, type Site } from './project.ts';

const ROOT = new URL('../../', import.meta.url);
const ANSWER_DEADLINE_MS = 60_000;
const POLL_MS = 100;

function filesOf(page: string, ...names: readonly string[]): Record<string, string> {
  const files = stepsOf(readFileSync(new URL(page, ROOT), 'utf8')).filter(
    (step) => step.kind === 'file',
  );
  return Object.fromEntries(
    files
      .filter(({ name }) => names.length === 0 || names.includes(name))
      .map(({ name, content }) => [name, content]),
  );
}

function isEqual(what: string, found: unknown, wanted: unknown): void {
  const [is, shouldBe] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== shouldBe) throw new Error(`${what}: ${is}, but it should be ${shouldBe}`);
}

const BANK = filesOf('docs/guide/first-steps.md', 'bank.ts', 'worker.ts');
const STRICT = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true };
const tsconfig = (compilerOptions: object, ...include: readonly string[]): string =>
  JSON.stringify({ compilerOptions, ...(include.length > 0 && { include }) });

/** The README's quick start, as it stands, and its types. */
export async function esm(site: Site): Promise<void> {
  const project = new Project('TypeScript, ESM', site);
  try {
    project.write(filesOf('README.md'));
    await project.run('npm init --yes', 'npm', ['init', '--yes']);
    await project.run('npm pkg set type=module', 'npm', ['pkg', 'set', 'type=module']);
    await project.install('toril', 'bullmq', 'zod');
    await project.install('--save-dev', 'tsx');
    project.start('npx', ['tsx', 'worker.ts']);
    const printed = await project.run('npx tsx app.ts', 'npx', ['tsx', 'app.ts']);
    const shown = stepsOf(readFileSync(new URL('README.md', ROOT), 'utf8')).find(
      (step) => step.kind === 'command' && step.line === 'npx tsx app.ts',
    );
    isEqual(
      'the quick start',
      printed.trimEnd().split('\n'),
      shown?.kind === 'command' && shown.shown,
    );

    await project.install('--save-dev', 'typescript', '@types/node');
    const options = {
      ...STRICT,
      module: 'nodenext',
      allowImportingTsExtensions: true,
      noEmit: true,
    };
    project.write({ 'tsconfig.json': tsconfig({ ...options, types: ['node'] }, '*.ts') });
    await project.run('npx tsc', 'npx', ['tsc']);
  } finally {
    await project.remove();
  }
}

const COMMON_JS = `import { QueueEvents } from 'bullmq';
import { Queue, Worker } from 'toril';
import { openCells } from 'toril/cells';
import { defineUpdate } from 'toril';

const connection = { host: 'localhost', port: 6379 };
const memcached = 'localhost:11211';
const count = defineUpdate({
  name: 'count',
  key: (data: { name: string }) => data.name,
  initial: () => 0,
  apply: (value: number) => value + 1,
  result: (value) => value,
});

async function main(): Promise<void> {
  const queue = new Queue('commonjs', { connection, updates: [count] });
  const events = new QueueEvents('commonjs', { connection });
  const worker = new Worker('commonjs', { connection, memcached, updates: [count] });
  const cells = openCells({ memcached });
  const job = await queue.enqueue(count, { name: 'commonjs' });
  const result: number | undefined = await job.waitUntilFinished(events);
  console.log(result, await cells.get('commonjs'));
  await Promise.all([worker.close(), queue.close(), events.close(), cells.close()]);
}
void main();
`;

/** `require` of a module, and the settings that such projects have. */
export async function commonJs(site: Site): Promise<void> {
  const project = new Project('TypeScript, CommonJS', site);
  try {
    project.write({ 'package.json': '{ "name": "bank", "private": true }', 'app.ts': COMMON_JS });
    await project.install('toril', 'bullmq');
    await project.install('--save-dev', 'typescript@5.9', '@types/node@22');
    const settings: Readonly<Record<string, readonly string[]>> = {
      nodenext: ['--module', 'nodenext'],
      node20: ['--module', 'node20'],
      node10: ['--module', 'commonjs', '--moduleResolution', 'node10'],
      bundler: ['--module', 'preserve', '--moduleResolution', 'bundler', '--noEmit'],
    };
    const always = [
      '--strict',
      '--target',
      'es2022',
      '--skipLibCheck',
      '--outDir',
      'out',
      'app.ts',
    ];
    for (const [name, words] of Object.entries(settings)) {
      const shown = `npx tsc --module ${words[1]} (${name})`;
      await project.run(shown, 'npx', ['tsc', ...words, ...always]);
      if (words.includes('--noEmit')) continue;
      const printed = await project.run(`node out/app.js (${name})`, 'node', ['out/app.js']);
      if (!/^\d \d\n$/.test(printed)) throw new Error(`CommonJS, ${name}: printed ${printed}`);
    }
    const said = await project
      .run('npx tsc --module node16', 'npx', ['tsc', '--module', 'node16', ...always])
      .catch((thrown: Error) => thrown.message);
    if (!said.includes('TS1479')) throw new Error(`--module node16 should say TS1479: ${said}`);
  } finally {
    await project.remove();
  }
}

const DECORATORS = { experimentalDecorators: true, emitDecoratorMetadata: true };

/** Of a version of Nest, as the page of frameworks has it. */
export async function nest(site: Site, version: '11' | '12'): Promise<void> {
  const project = new Project(`Nest ${version}`, site);
  try {
    const port = await freePort();
    project.write({
      ...BANK,
      ...filesOf('docs/frameworks.md', 'bank.module.ts', 'bank-page.ts', 'main.ts'),
    });
    const main = filesOf('docs/frameworks.md', 'main.ts')['main.ts'] ?? '';
    const options = {
      ...DECORATORS,
      strict: true,
      module: 'nodenext',
      target: 'es2022',
      types: ['node'],
    };
    project.write({
      'package.json': '{ "name": "bank", "private": true, "type": "module" }',
      'main.ts': main.replace('3000', String(port)),
      'tsconfig.json': tsconfig(
        { ...options, skipLibCheck: true, outDir: 'out', rewriteRelativeImportExtensions: true },
        'main.ts',
      ),
    });
    const nests = ['common', 'core', 'platform-express'].map(
      (name) => `@nestjs/${name}@${version}`,
    );
    await project.install(...nests, 'reflect-metadata', 'rxjs', 'toril', 'bullmq', 'zod');
    await project.install('--save-dev', 'typescript', '@types/node');
    await project.run('npx tsc', 'npx', ['tsc']);
    const app = project.start('node', ['out/main.js']);
    await isABank(`http://localhost:${port}/accounts/nest${version}`, app.printed);
    const health = (await (await fetch(`http://localhost:${port}/health`)).json()) as object;
    isEqual('health', health, {
      toril: { status: 'up', 'worker bank': { status: 'up' }, 'queue bank': { status: 'up' } },
    });
    await isAPage(`http://localhost:${port}/admin/toril`);
    const isOver = once(app, 'exit');
    app.kill('SIGTERM');
    await isOver;
  } finally {
    await project.remove();
  }
}

/** With @nestjs/bullmq, which knows nothing of Toril. */
export async function nestBullMQ(site: Site): Promise<void> {
  const project = new Project('@nestjs/bullmq', site);
  try {
    project.write({
      ...BANK,
      'package.json': '{ "name": "bank", "private": true, "type": "module" }',
      'main.ts': `import { BullModule, InjectQueue, Processor, WorkerHost } from '@nestjs/bullmq';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { noProcessor, openCells, Queue, Worker } from 'toril';
import { account, connection, deposit, memcached } from './bank.ts';

BullModule.queueClass = Queue;
BullModule.workerClass = Worker as never;

@Processor('nestbull', { memcached, updates: [deposit] } as object)
class Bank extends WorkerHost {
  override process = noProcessor;
}
@Injectable()
class Teller {
  constructor(@InjectQueue('nestbull') readonly queue: Queue) {}
}
@Module({
  imports: [BullModule.forRoot({ connection }), BullModule.registerQueue({ name: 'nestbull' })],
  providers: [Bank, Teller],
})
class App {}

const app = await NestFactory.createApplicationContext(App, { logger: false });
const done = new Promise((resolve) => app.get(Bank).worker.once('completed', resolve));
await app.get(Teller).queue.enqueue(deposit, { account: 'nestbull', cents: 5 });
await done;
const cells = openCells({ memcached });
console.log((await cells.get(account, 'nestbull'))?.deposits);
await Promise.all([app.close(), cells.close()]);
`,
      'tsconfig.json': tsconfig(
        {
          ...{ ...DECORATORS, strict: true, module: 'nodenext', target: 'es2022', types: ['node'] },
          ...{ skipLibCheck: true, outDir: 'out', rewriteRelativeImportExtensions: true },
        },
        'main.ts',
      ),
    });
    const nests = ['common', 'core', 'bullmq'].map((name) => `@nestjs/${name}@12`);
    await project.install(...nests, 'reflect-metadata', 'rxjs', 'toril', 'bullmq', 'zod');
    await project.install('--save-dev', 'typescript', '@types/node');
    await project.run('npx tsc', 'npx', ['tsc']);
    isEqual('deposits', await project.run('node out/main.js', 'node', ['out/main.js']), '1\n');
  } finally {
    await project.remove();
  }
}

/** Built and served. */
export async function next(site: Site): Promise<void> {
  const project = new Project('Next.js', site);
  try {
    const port = await freePort();
    const routes = ['app/accounts/[id]/route.ts', 'app/admin/toril/[[...path]]/route.ts'];
    const files = filesOf('docs/frameworks.md', 'bank-server.ts', ...routes);
    project.write({
      ...{ 'bank.ts': BANK['bank.ts'] ?? '', 'worker.ts': BANK['worker.ts'] ?? '', ...files },
      'package.json': '{ "name": "bank", "private": true, "type": "module" }',
      'next.config.ts': `export default { serverExternalPackages: ['toril', 'bullmq'] };\n`,
      'app/layout.tsx': `import type { ReactNode } from 'react';
export default function Layout({ children }: { children: ReactNode }) {
  return <html lang="en"><body>{children}</body></html>;
}\n`,
      'app/page.tsx': 'export default function Page() { return <p>bank</p>; }\n',
      'tsconfig.json': tsconfig({
        ...{ ...STRICT, noEmit: true, allowImportingTsExtensions: true, jsx: 'react-jsx' },
        ...{ module: 'esnext', moduleResolution: 'bundler', skipLibCheck: true },
        ...{ isolatedModules: true, esModuleInterop: true, resolveJsonModule: true },
        ...{ lib: ['dom', 'dom.iterable', 'esnext'], target: 'es2022' },
      }),
    });
    await project.install('next', 'react', 'react-dom', 'toril', 'bullmq', 'zod');
    await project.install('--save-dev', 'typescript@5.9', '@types/node', '@types/react', 'tsx');
    await project.run('npx next build', 'npx', ['next', 'build']);
    project.start('npx', ['tsx', 'worker.ts']);
    const app = project.start('npx', ['next', 'start', '--port', String(port)]);
    await isABank(`http://localhost:${port}/accounts/next`, app.printed, '');
    await isAPage(`http://localhost:${port}/admin/toril`);
  } finally {
    await project.remove();
  }
}

/** Signs in to the page, is refused with a form from elsewhere, and leaves a live page open. */
async function isAPage(url: string): Promise<void> {
  const signedIn = await fetch(`${url}/sign-in?token=${PAGE_TOKEN}`, { redirect: 'manual' });
  const cookie = signedIn.headers.get('set-cookie')?.split(';')[0] ?? '';
  const list = await (await fetch(url, { headers: { cookie } })).text();
  if (!list.includes('href="/admin/toril/audit?')) throw new Error(`no links in the page: ${list}`);
  const headers = { cookie, origin: 'https://elsewhere.example', 'sec-fetch-site': 'cross-site' };
  const forged = await fetch(`${url}/act?action=resume&key=`, { method: 'POST', headers });
  isEqual('a form from elsewhere', forged.status, 403);
  const live = await fetch(`${url}/live`, { headers: { cookie } });
  const first = await live.body?.getReader().read();
  const told = new TextDecoder().decode(first?.value).slice(0, 'event: page'.length);
  isEqual('a live page', told, 'event: page');
}

/** Puts 250 and 150 into an account and reads what is there. */
async function isABank(url: string, log: () => string, path = '/deposits'): Promise<void> {
  const until = performance.now() + ANSWER_DEADLINE_MS;
  const headers = { 'content-type': 'application/json' };
  const put = (cents: number): Promise<Response | undefined> =>
    fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify({ cents }) }).catch(
      () => undefined,
    );
  const ask = async (): Promise<unknown> => {
    const response = await fetch(url).catch(() => undefined);
    return response?.ok === true ? response.json() : response?.status;
  };
  const eventually = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) {
      if (performance.now() > until) throw new Error(`${url} does not answer as told\n${log()}`);
      await sleep(POLL_MS);
    }
  };
  await eventually(async () => (await put(250))?.ok === true);
  await eventually(async () => (await put(150))?.ok === true);
  const wanted = JSON.stringify({ cents: 400, deposits: 2 });
  await eventually(async () => JSON.stringify(await ask()) === wanted);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
