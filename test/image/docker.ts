import { spawn, spawnSync } from 'node:child_process';
import { command, follow, succeeds } from './command.ts';
import type { Container, ImageConfig, ImageEngine, RunSetting } from './engine.ts';

/** A client alone, without an engine behind it, is not enough. */
export const dockerWorks = (): boolean => succeeds('docker', ['info']);

export class Docker implements ImageEngine {
  readonly name = 'docker';
  readonly limits: readonly string[] = [];
  readonly #root: string;
  readonly #tag: string;
  readonly #containers: string[] = [];

  constructor(root: string) {
    this.#root = root;
    this.#tag = `toril-worker:trial-${process.pid}`;
  }

  async build(): Promise<void> {
    follow('docker', ['build', '--tag', this.#tag, this.#root]);
  }

  config(): ImageConfig {
    const told = command('docker', ['image', 'inspect', '--format', '{{json .Config}}', this.#tag]);
    return JSON.parse(told) as ImageConfig;
  }

  run(words: readonly string[], { env, files }: RunSetting): Container {
    const name = `toril-trial-${process.pid}-${this.#containers.length}`;
    this.#containers.push(name);
    const flags = [
      ...['run', '--rm', '--name', name, '--network', 'host', '--entrypoint', words[0] ?? ''],
      ...Object.entries(env).flatMap(([variable, value]) => ['--env', `${variable}=${value}`]),
      ...Object.entries(files).flatMap(([to, from]) => ['--volume', `${from}:${to}:ro`]),
    ];
    const child = spawn('docker', [...flags, this.#tag, ...words.slice(1)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return {
      process: child,
      exec: (others) => {
        const { status, stdout, stderr } = spawnSync('docker', ['exec', name, ...others], {
          encoding: 'utf8',
        });
        return { code: status, printed: `${stdout}${stderr}` };
      },
      signal: (signal) => void command('docker', ['kill', '--signal', signal, name]),
    };
  }

  remove(): void {
    for (const name of this.#containers) spawnSync('docker', ['rm', '--force', name]);
    spawnSync('docker', ['image', 'rm', this.#tag]);
  }
}
