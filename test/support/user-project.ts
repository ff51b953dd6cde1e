/** A project of a user, with Toril as it is installed there: compiled, and imported by its name. */
import { execFile, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class UserProject {
  readonly folder: string;
  /** What its processes are started with. */
  readonly env: NodeJS.ProcessEnv;

  /** Below the root, so that what Toril depends on is found. */
  constructor(env: NodeJS.ProcessEnv = {}) {
    mkdirSync(join(ROOT, '.toril'), { recursive: true });
    this.folder = mkdtempSync(join(ROOT, '.toril', 'project-'));
    const installed = this.at('node_modules/toril');
    mkdirSync(installed, { recursive: true });
    copyFileSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const output = [
      '--outDir',
      join(installed, 'dist'),
      '--tsBuildInfoFile',
      this.at('.tsbuildinfo'),
    ];
    const built = spawnSync(process.execPath, [
      ...[tsc, '-p', join(ROOT, 'tsconfig.build.json'), ...output],
    ]);
    if (built.status !== 0) throw new Error(String(built.stdout));
    this.env = {
      ...process.env,
      ...{ NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined, FORCE_COLOR: undefined, NO_COLOR: '1' },
      ...{
        DEBUG: undefined,
        VITEST: undefined,
        TORIL_REDIS: undefined,
        TORIL_MEMCACHED: undefined,
      },
      ...env,
    };
    this.write('package.json', '{ "name": "bank", "private": true, "type": "module" }\n');
  }

  at(path: string): string {
    return join(this.folder, path);
  }

  write(path: string, content: string | Buffer): string {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    writeFileSync(this.at(path), content);
    return this.at(path);
  }

  toril(args: readonly string[], input?: string | Buffer): Promise<Ended> {
    return this.node([this.at('node_modules/toril/dist/cli/main.js'), ...args], input);
  }

  /** @param env added to the project's own */
  node(
    args: readonly string[],
    input: string | Buffer = '',
    env: NodeJS.ProcessEnv = {},
  ): Promise<Ended> {
    return new Promise((resolve) => {
      const options = { cwd: this.folder, env: { ...this.env, ...env }, maxBuffer: 2 ** 26 };
      const child = execFile(process.execPath, args, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
        resolve({ code, stdout, stderr });
      });
      child.stdin?.on('error', () => undefined); // it may end without reading
      child.stdin?.end(input);
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
