/** docker-compose.yml and the Dockerfile: by Compose's published schema, and with commands that Toril's command line takes. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { DCLinter } from 'dclint';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { parse } from 'yaml';
import { createProgram } from '../../../src/cli/program.ts';
import { UI_PORT_DEFAULT } from '../../../src/cli/commands/ui/ui-command.ts';
import { WORKER_DEFAULTS } from '../../../src/options.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface Service {
  readonly build?: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly ports?: readonly string[];
  readonly stop_grace_period?: string;
}

const COMPOSE = read('docker-compose.yml');
const { services } = parse(COMPOSE, { merge: true }) as {
  services: Readonly<Record<'redis' | 'memcached' | 'worker' | 'ui', Service>>;
};
const ours = Object.entries(services).filter(([, { build }]) => build !== undefined);

/** Its own types are not found by Node's rules. */
interface Message {
  readonly type: 'error' | 'warning';
  readonly message: string;
}

/** What is wrong by the schema, and with what would not start; not its taste. */
function problemsOf(content: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'toril-compose-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'docker-compose.yml');
  writeFileSync(file, content);
  const linter = new DCLinter({ rules: {}, quiet: true, debug: false, exclude: [] });
  const results = linter.lintFiles([file], false) as readonly { messages: readonly Message[] }[];
  const errors = results.flatMap(({ messages }) => messages).filter(({ type }) => type === 'error');
  return errors.map(({ message }) => message);
}

/** What the words mean to Toril, if nothing is done. @throws what is wrong with them */
async function parsed(words: readonly string[]): Promise<Record<string, unknown>> {
  const program = createProgram(() => undefined);
  let flags: Record<string, unknown> | undefined;
  for (const command of program.commands) {
    command.exitOverride().action((...given: unknown[]) => {
      flags = (given.at(-1) as Command).opts();
    });
  }
  await program.parseAsync(words, { from: 'user' });
  return flags ?? {};
}

describe('docker-compose.yml', () => {
  it('is what the schema wants', () => {
    expect(problemsOf(COMPOSE)).toEqual([]);
  });

  it('is checked by one that finds a field that does not exist', () => {
    const misspelt = COMPOSE.replace('stop_grace_period: 30s', 'stop_grace_seconds: 30');
    expect(problemsOf(misspelt)).not.toEqual([]);
  });

  it('has commands that Toril takes', async () => {
    expect(ours.map(([name]) => name)).toEqual(['worker', 'ui']);
    expect(await parsed(services.worker.command)).toMatchObject({
      updates: '/app/dist/cli/demo/demo-updates.js',
      http: { host: '0.0.0.0', port: 9464 },
    });
    expect(existsSync(join(ROOT, 'src/cli/demo/demo-updates.ts'))).toBe(true);
    expect(await parsed(services.ui.command)).toMatchObject({ host: '0.0.0.0' });
    await expect(parsed(['ui', '--hosts', 'x'])).rejects.toThrow('unknown option');
    await expect(parsed(['worker'])).rejects.toThrow('--updates');
  });

  it('starts what needs servers once these are healthy, and names them', () => {
    const wanted = {
      redis: { condition: 'service_healthy' },
      memcached: { condition: 'service_healthy' },
    };
    for (const [name, service] of ours) {
      expect(service.depends_on, name).toEqual(wanted);
      expect(service.environment, name).toMatchObject({
        TORIL_REDIS: 'redis://redis:6379',
        TORIL_MEMCACHED: 'memcached:11211',
      });
    }
    for (const name of ['redis', 'memcached'] as const)
      expect(services[name].healthcheck?.test[0], name).toBe('CMD-SHELL');
  });

  it('shows the page to this machine alone, and asks it how it is', () => {
    const { ports, healthcheck } = services.ui;
    expect(ports).toEqual([`127.0.0.1:${UI_PORT_DEFAULT}:${UI_PORT_DEFAULT}`]);
    expect(healthcheck?.test.slice(0, -1)).toEqual([
      'CMD',
      'node',
      '/app/scripts/container-health.mjs',
    ]);
    expect(healthcheck?.test.at(-1)).toBe(`http://127.0.0.1:${UI_PORT_DEFAULT}/sign-in`);
  });

  it('gives a worker the time that closing takes', () => {
    // As src/cli/commands/worker-command.ts: 5 s more, then the process ends by itself.
    const seconds = Number.parseInt(services.worker.stop_grace_period ?? '', 10);
    expect(seconds * 1_000).toBeGreaterThan(WORKER_DEFAULTS.closeMs + 5_000);
  });
});

describe('the Dockerfile', () => {
  const dockerfile = read('Dockerfile');
  const listOf = (instruction: string): string[] =>
    JSON.parse(
      new RegExp(`^ *${instruction} (\\[.*\\])$`, 'm').exec(dockerfile)?.[1] ?? '[]',
    ) as string[];

  it('copies what is there, and what .dockerignore lets through', () => {
    const copies = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)];
    const sources = copies.flatMap(([, words = '']) => words.split(' '));
    expect(sources).toContain('src');
    const passed = read('.dockerignore').match(/(?<=^!)\S+/gm);
    expect(sources.toSorted()).toEqual(passed?.toSorted());
    for (const source of sources) expect(existsSync(join(ROOT, source)), source).toBe(true);
  });

  it('has a worker that answers where its health check asks', async () => {
    const address = /^ENV TORIL_HTTP=(\S+)$/m.exec(dockerfile)?.[1] ?? '';
    expect(dockerfile).toContain(`\nEXPOSE ${address.split(':')[1]}\n`);
    onTestFinished(() => void vi.unstubAllEnvs());
    vi.stubEnv('TORIL_HTTP', address);
    expect(await parsed(listOf('CMD'))).toMatchObject({ http: { host: '0.0.0.0', port: 9464 } });
    vi.stubEnv('TORIL_HTTP', ''); // as good as none
    expect((await parsed(listOf('CMD')))['http']).toBe(false);
    const health = /^HEALTHCHECK[^[]*CMD (\[.*\])$/ms.exec(dockerfile)?.[1] ?? '[]';
    expect(JSON.parse(health)).toEqual(['node', '/app/scripts/container-health.mjs']);
  });
});
