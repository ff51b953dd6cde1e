/** A folder of somebody who has nothing of ours but the tarball: what is done there, how long it takes, and what it prints. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Milliseconds after which a step has failed. */
const STEP_DEADLINE_MS = 600_000;

/** Of whoever signs in to the page in a project. */
export const PAGE_TOKEN = 'sixteen-characters-and-more';

export interface Step {
  readonly project: string;
  readonly command: string;
  readonly seconds: number;
  /** Of `node_modules` afterwards, if it installed something. */
  readonly megabytes?: number;
}

export interface Site {
  readonly tarball: string;
  readonly redisPort: string;
  readonly memcachedPort: string;
  /** Of npm's, so that everything is fetched. */
  readonly cache: string;
  /** Writes down what was done. */
  note(step: Step): void;
}

export class Project {
  readonly folder: string;
  readonly #name: string;
  readonly #site: Site;
  readonly #running: ChildProcess[] = [];

  constructor(name: string, site: Site) {
    this.#name = name;
    this.#site = site;
    this.folder = mkdtempSync(join(tmpdir(), `stranger-${name.replaceAll(/\W+/g, '-')}-`));
  }

  /** As a page has it, but for the servers: those that are told. */
  write(files: Readonly<Record<string, string>>): void {
    const { redisPort, memcachedPort } = this.#site;
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, name)), { recursive: true });
      const here = content
        .replaceAll('port: 6379', `port: ${redisPort}`)
        .replaceAll('localhost:11211', `localhost:${memcachedPort}`);
      writeFileSync(join(this.folder, name), here);
    }
  }

  /** `toril` among the words is the tarball. */
  async install(...words: readonly string[]): Promise<void> {
    const { tarball, cache } = this.#site;
    const told = words.map((word) => (word === 'toril' ? tarball : word));
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error', `--cache=${cache}`];
    const shown = `npm install ${words.join(' ')}`;
    await this.run(shown, 'npm', ['install', ...told, ...quiet]);
  }

  /** What it prints. @throws if it fails */
  async run(shown: string, program: string, words: readonly string[]): Promise<string> {
    const begunMs = performance.now();
    const child = this.start(program, words);
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0)
      throw new Error(`${this.#name}: ${shown} ended with ${code}\n${child.printed()}`);
    const seconds = (performance.now() - begunMs) / 1000;
    const megabytes = words[0] === 'install' ? this.#megabytes() : undefined;
    const size = megabytes === undefined ? {} : { megabytes };
    this.#site.note({ project: this.#name, command: shown, seconds, ...size });
    return child.printed();
  }

  /** In the background, until `remove`. */
  start(program: string, words: readonly string[]): ChildProcess & { printed(): string } {
    const { PATH, HOME } = process.env;
    const child = spawn(program, words, {
      cwd: this.folder,
      // A process group of its own: npx and next have children.
      ...{ detached: true, timeout: STEP_DEADLINE_MS, stdio: ['ignore', 'pipe', 'pipe'] },
      env: {
        ...{ PATH, HOME, NO_COLOR: '1', CI: '1', NEXT_TELEMETRY_DISABLED: '1' },
        TORIL_UI_TOKEN: PAGE_TOKEN,
      },
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        text += String(chunk);
      });
    }
    this.#running.push(child);
    return Object.assign(child, { printed: () => text });
  }

  #megabytes(): number {
    const told = execFileSync('du', ['-sk', 'node_modules'], { cwd: this.folder });
    return Number.parseInt(String(told), 10) / 1024;
  }

  async remove(): Promise<void> {
    for (const { pid, exitCode, signalCode } of this.#running) {
      if (pid === undefined || exitCode !== null || signalCode !== null) continue;
      process.kill(-pid, 'SIGKILL');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
