/** The list of memcached servers that a queue's workers use, by its fingerprint. Two lists would keep two locks for one key. */
import type { QueueScripts } from './queue-scripts.ts';
import type { Script } from './scripts/script.ts';

export class RegisteredServers {
  readonly #scripts: QueueScripts;
  readonly #key: string;

  constructor(scripts: QueueScripts) {
    this.#scripts = scripts;
    this.#key = `${scripts.own}memcached`;
  }

  /** Undefined: none is registered yet. */
  async read(): Promise<string | undefined> {
    return (await (await this.#scripts.client).get(this.#key)) ?? undefined;
  }

  /** Registers a list if none is, and returns the registered one. */
  async register(fingerprint: string): Promise<string> {
    const registered = await this.read();
    if (registered !== undefined) return registered;
    await this.#scripts.run(REGISTER, [fingerprint], [this.#key]);
    return (await this.read()) ?? fingerprint;
  }

  /** An operator's deliberate choice. */
  async replace(fingerprint: string): Promise<void> {
    await (await this.#scripts.client).set(this.#key, fingerprint);
  }
}

const REGISTER: Script = {
  name: 'torilRegister',
  numberOfKeys: 2,
  lua: `return redis.call('SETNX', KEYS[2], ARGV[2])`,
};
