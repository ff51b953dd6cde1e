/** Runs `toril` from its sources, as a user's shell would run the compiled one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, vi } from 'vitest';
import { runCommand } from '../../src/cli/program.ts';
import { eventually } from '../support/memcached.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
/** What the tests' updates live in. */
export const UPDATES: string = fileURLToPath(new URL('./cli-updates.ts', import.meta.url));
const STACK = /^\s+at .+:\d+:\d+\)?$/m;
const EVENT_DEADLINE_MS = 20_000;

export interface CliOptions {
  readonly input?: string;
  /** Its input does not end. */
  readonly keepsInput?: boolean;
  /** Added to ours; undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The same in this process, for commands that do not care: a process of its own takes half a second.
 * One at a time.
 */
export async function torilHere(args: readonly string[]): Promise<CliResult> {
  const written = { stdout: '', stderr: '' };
  const catching = (name: 'stdout' | 'stderr') =>
    vi.spyOn(process[name], 'write').mockImplementation((chunk) => {
      written[name] += chunk.toString();
      return true;
    });
  const spies = [catching('stdout'), catching('stderr')];
  try {
    const code = await runCommand(args);
    return { code, stdout: written.stdout, stderr: written.stderr.replace(UNKNOWN_BULLMQ, '') };
  } finally {
    spies.forEach((spy) => spy.mockRestore());
    expect(written.stderr).not.toMatch(STACK);
  }
}

/** What each process warns of once under `npm run bullmq -- unknown`. */
const UNKNOWN_BULLMQ = /^\(node:\d+\) \[BULLMQ_UNKNOWN\].*\n(\(Use .*\n)?/m;

/** To its end. Whatever it says, it never shows a stack. */
export async function toril(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const running = startToril(args, options);
  return running.ended();
}

export class RunningCli {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], { input = '', keepsInput = false, env = {} }: CliOptions) {
    this.#child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: undefined, DEBUG: undefined, ...env },
    });
    this.#closed = once(this.#child, 'close');
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.#child.stdin?.on('error', () => undefined); // it may end without reading
    if (!keepsInput) this.#child.stdin?.end(input);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when it has printed the text, to whichever stream. */
  async printed(text: string): Promise<void> {
    await eventually(
      `the output "${text}"`,
      () => `${this.stdout}${this.stderr}`.includes(text) || !this.running,
      EVENT_DEADLINE_MS,
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async ended(): Promise<CliResult> {
    await this.#closed;
    const { stdout, stderr } = this;
    expect(stderr).not.toMatch(STACK);
    expect(stdout).not.toMatch(STACK);
    return { code: this.#child.exitCode, stdout, stderr: stderr.replace(UNKNOWN_BULLMQ, '') };
  }

  /** The first event of that name in the log of `toril worker --json`. */
  async event(name: string): Promise<Record<string, unknown>> {
    let found: Record<string, unknown> | undefined;
    await eventually(
      `the event ${name}`,
      () => {
        found = this.events().find(({ event }) => event === name);
        if (found === undefined && !this.running) {
          throw new Error(`ended without ${name}: ${this.stderr}`);
        }
        return found !== undefined;
      },
      EVENT_DEADLINE_MS,
    );
    return found as Record<string, unknown>;
  }

  events(): Record<string, unknown>[] {
    const complete = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1);
    return jsonLines(complete);
  }
}

/** Killed when the test has finished, if it still runs. */
export function startToril(args: readonly string[], options: CliOptions = {}): RunningCli {
  const running = new RunningCli(args, options);
  onTestFinished(async () => {
    if (!running.running) return;
    running.signal('SIGKILL');
    await running.ended();
  });
  return running;
}

export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

let names = 0;
/** A name that no other test uses, for queues and keys. */
export function unique(what: string): string {
  names += 1;
  return `cli-${what}-${process.pid}-${Date.now()}-${names}`;
}
