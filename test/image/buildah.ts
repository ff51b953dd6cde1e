/**
 * Debian's buildah, where there is no Docker engine: as root, without a daemon, in a store of its own, by chroot, and without pulling anything.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { say } from '../../scripts/setup-error.mjs';
import { fillWithBase } from './base-image.ts';
import { command, follow, succeeds } from './command.ts';
import type { Container, ImageConfig, ImageEngine, RunSetting } from './engine.ts';
import { npmSettings } from './npm-settings.ts';

/** The Dockerfile's own default. */
const NODE_MAJOR = '22';
const BASE = `docker.io/library/node:${NODE_MAJOR}-bookworm-slim`;

export const buildahWorks = (): boolean =>
  process.getuid?.() === 0 &&
  succeeds('buildah', ['--version']) &&
  succeeds('debootstrap', ['--version']);

export class Buildah implements ImageEngine {
  readonly name = 'buildah';
  readonly limits: readonly string[] = [
    "The base is made of Debian's packages and npm's Node: the base image of Docker's library was not pulled.",
    'Processes run by chroot: no namespaces, no limits, and no daemon that repeats the health check, which is run by hand.',
  ];
  readonly #root: string;
  readonly #store: string;
  readonly #tag = 'localhost/toril-worker:trial';
  readonly #containers: string[] = [];

  /** @param root of this tree; base and layers stay below it (.toril/images), so that the next build is quick */
  constructor(root: string) {
    this.#root = root;
    this.#store = join(root, '.toril', 'images');
  }

  async build(): Promise<void> {
    mkdirSync(this.#store, { recursive: true });
    if (this.#told(['images', '--quiet', '--filter', `reference=${BASE}`]).trim() === '')
      this.#makeBase();
    const folder = mkdtempSync(join(tmpdir(), 'toril-image-'));
    try {
      const files = Object.entries(npmSettings(folder));
      say('building the image');
      const words = this.#words([
        ...['build', '--pull-never', '--layers', '--format', 'docker', '--tag', this.#tag],
        ...files.flatMap(([to, from]) => ['--volume', `${from}:${to}:ro`]),
        this.#root,
      ]);
      follow('buildah', words, this.#env());
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #makeBase(): void {
    say(`making a base image of Debian's packages and Node ${NODE_MAJOR}`);
    const container = this.#told(['from', 'scratch']).trim();
    try {
      fillWithBase(this.#told(['mount', container]).trim(), NODE_MAJOR);
      this.#told(['unmount', container]);
      this.#told(['commit', '--format', 'docker', container, BASE]);
    } finally {
      this.#told(['rm', container]);
    }
  }

  config(): ImageConfig {
    const told = JSON.parse(this.#told(['inspect', '--type', 'image', this.#tag])) as {
      Docker: { config: ImageConfig };
    };
    return told.Docker.config;
  }

  run(words: readonly string[], { env, files }: RunSetting): Container {
    const container = this.#told(['from', '--pull-never', this.#tag]).trim();
    this.#containers.push(container);
    const flags = [
      ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
      ...Object.entries(files).flatMap(([to, from]) => ['--volume', `${from}:${to}:ro`]),
    ];
    const inside = (others: readonly string[]): string[] =>
      this.#words(['run', ...flags, container, '--', ...others]);
    const child = spawn('buildah', inside(words), {
      ...{ stdio: ['ignore', 'pipe', 'pipe'], env: this.#env() },
    });
    return {
      process: child,
      exec: (others) => {
        const { status, stdout, stderr } = spawnSync('buildah', inside(others), {
          ...{ encoding: 'utf8', env: this.#env() },
        });
        return { code: status, printed: `${stdout}${stderr}` };
      },
      // buildah passes no signals on; the processes of a chroot are seen from here.
      signal: (signal) => void process.kill(lastOf(child.pid as number), signal),
    };
  }

  /** The image stays with its layers: without it they would go as well. */
  remove(): void {
    for (const container of this.#containers) this.#told(['rm', container]);
  }

  #told(words: readonly string[]): string {
    return command('buildah', this.#words(words), this.#env());
  }

  #words(words: readonly string[]): string[] {
    const run = join(this.#store, 'run');
    return ['--root', join(this.#store, 'root'), '--runroot', run, ...words];
  }

  #env(): NodeJS.ProcessEnv {
    return { ...process.env, BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' };
  }
}

/** The program that buildah's own processes have come to; any of their threads may have started the next one. */
function lastOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const [child] = threads.flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return child === undefined ? pid : lastOf(Number(child));
}
