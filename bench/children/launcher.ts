/**
 * Compiles what runs in child processes, and starts them. The bench itself runs from its sources;
 * what is measured must not, since the transformation on the fly changes the code.
 */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Caller } from './calls.ts';

const ROOT = new URL('../../', import.meta.url);
const WORKER = new URL('./worker-process.ts', import.meta.url);
const PRODUCER = new URL('./producer-process.ts', import.meta.url);
const REPLAYER = new URL('./replay-process.ts', import.meta.url);
const OUTPUT_KEPT = 2_000;
/**
 * For all processes. While others have their turn, V8 tidies up an idle process and throws compiled code away with it: after 30 s,
 * Toril's worker needed 75 µs per job instead of 45, with this 50; the no-op 52 in any case. A busy worker is never idle.
 */
const STAYS_COMPILED = ['--no-memory-reducer'];

export class Launcher {
  readonly #compiled: string;
  readonly #children = new Set<ChildProcess>();

  private constructor(compiled: string) {
    this.#compiled = compiled;
    process.once('exit', () => this.close());
  }

  /** @throws Error if the compiler is not content */
  static compile(): Launcher {
    // In the project's own folder, so that packages are found; one per process, so that two
    // benches do not write over each other's files.
    const compiled = fileURLToPath(new URL(`.toril/bench-${process.pid}/`, ROOT));
    const project = fileURLToPath(new URL('../tsconfig.children.json', import.meta.url));
    const tsc = fileURLToPath(new URL('node_modules/.bin/tsc', ROOT));
    const { status, stdout, error } = spawnSync(tsc, ['-p', project, '--outDir', compiled], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`the bench does not compile: ${stdout || error?.message}`);
    return new Launcher(compiled);
  }

  worker(onNotice: (notice: unknown) => void): Child {
    return this.launch(WORKER, onNotice);
  }

  producer(): Child {
    return this.launch(PRODUCER, () => undefined);
  }

  replayer(): Child {
    return this.launch(REPLAYER, () => undefined);
  }

  /** What became of one of our source files. */
  compiledFrom(source: URL): string {
    const path = relative(fileURLToPath(ROOT), fileURLToPath(source));
    return join(this.#compiled, path.replace(/\.ts$/, '.js'));
  }

  launch(source: URL, onNotice: (notice: unknown) => void): Child {
    const child = fork(this.compiledFrom(source), {
      execArgv: STAYS_COMPILED,
      serialization: 'advanced',
      silent: true,
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return new Child(child, onNotice);
  }

  /** Ends what is left and removes what was compiled. */
  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.#compiled, { recursive: true, force: true });
  }
}

/** A process that answers calls. */
export class Child {
  /** Resolves when the process is gone, for whatever reason. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #caller: Caller;
  /** The end of what it has printed, to explain its end. */
  #output = '';

  constructor(child: ChildProcess, onNotice: (notice: unknown) => void) {
    this.#child = child;
    this.#caller = new Caller(child, onNotice);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_KEPT);
      });
    }
    this.ended = new Promise((resolve) => child.once('exit', () => resolve()));
    child.once('exit', (code, signal) => {
      const how = signal ?? `code ${code}`;
      this.#caller.fail(new Error(`a child process ended (${how}): ${this.#output.trim()}`));
    });
  }

  call(method: string, argument?: unknown): Promise<unknown> {
    return this.#caller.call(method, argument);
  }

  /** It has been ended by a signal, also by one of its own. */
  get wasKilled(): boolean {
    return this.#child.signalCode !== null;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}
