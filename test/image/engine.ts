/** What trying an image needs of a program that builds and runs images. Its engines: docker.ts, buildah.ts. */
import type { ChildProcess } from 'node:child_process';

/** As the image has it; what a container starts from. */
export interface ImageConfig {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Env: readonly string[];
  /** `CMD` and the words of the command. */
  readonly Healthcheck?: { readonly Test: readonly string[] };
}

export interface RunSetting {
  readonly env: Readonly<Record<string, string>>;
  /** Files of this machine by their path in the container, where they can only be read. */
  readonly files: Readonly<Record<string, string>>;
}

/** A container shares the network of this machine, so that servers on 127.0.0.1 are reached. */
export interface Container {
  /** Its first process, with the image's user. */
  readonly process: ChildProcess;
  /** Another one in it: its exit code, and what it printed. */
  exec(words: readonly string[]): { readonly code: number | null; readonly printed: string };
  /** As an orchestrator does it. */
  signal(signal: NodeJS.Signals): void;
}

export interface ImageEngine {
  readonly name: string;
  /** What it cannot show of the image. */
  readonly limits: readonly string[];
  /** @throws SetupError what the build said */
  build(): Promise<void>;
  config(): ImageConfig;
  run(words: readonly string[], setting: RunSetting): Container;
  /** Takes containers away, and the image unless the engine builds on it next time. */
  remove(): void;
}
