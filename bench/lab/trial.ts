/** One scheme, so many clients, one situation: what becomes of one key's value. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Verdict } from '../chain-audit.ts';
import type { Child, Launcher } from '../children/launcher.ts';
import { readPlainValues } from '../competitors/plain-values.ts';
import { monotonicMs } from '../monotonic-clock.ts';
import { systemEntry } from '../systems.ts';
import { readEvidence } from './evidence.ts';
import { momentsOf, type Situation } from './faults.ts';
import type { ClientsOrder, LabSite, WorkerOrder } from './host-process.ts';
import type { Lab } from './lab.ts';
import { judge, longestStandstillMs } from './judge.ts';
import { type SchemeName, schemeOf } from './schemes/schemes.ts';

export interface TrialSettings {
  readonly scheme: SchemeName;
  readonly clients: number;
  readonly situation: Situation;
  /** Of all clients together. */
  readonly updates: number;
  /** Processes that share the clients; a scheme with a queue has as many workers beside them. */
  readonly hosts: number;
}

export interface Trial extends Omit<TrialSettings, 'hosts'>, Verdict {
  /** Updates of which a client was told that they are done. */
  readonly done: number;
  /** After the faults, nobody got through to the key any more. */
  readonly wedged: boolean;
  /** Until the last update was done. */
  readonly seconds: number;
  readonly standstillSeconds: number;
}

/** How long every lock and lease lives. */
const LOCK_MS = 2_000;
/** What is not done by then, is not. */
const TRIAL_MS = 60_000;
/** One more update, when all is over: a key that lets nobody through for so long is wedged. */
const WEDGED_MS = 5 * LOCK_MS;
/** Between two attempts at a lock, for each client: a thousand that spin fast leave no time to work. */
const PAUSE_MS_PER_CLIENT = 0.5;
const PAUSE_MS_MIN = 50;
/** Jobs at once in each worker, unless there are fewer clients. */
const WORKER_CONCURRENCY_MAX = 32;

const HOST = new URL('./host-process.ts', import.meta.url);

let trials = 0;

export async function runTrial({ launcher, site }: Lab, settings: TrialSettings): Promise<Trial> {
  const folder = mkdtempSync(join(tmpdir(), 'toril-lab-'));
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeFolder); // also when it is interrupted
  const ground = new Ground(launcher, site, settings, folder);
  try {
    return await ground.run();
  } finally {
    await ground.clear();
    process.off('exit', removeFolder);
    removeFolder();
  }
}

class Ground {
  readonly #launcher: Launcher;
  readonly #site: LabSite;
  readonly #settings: TrialSettings;
  readonly #folder: string;
  readonly #name = `lab-${process.pid}-${Date.now().toString(36)}-${++trials}`;
  readonly #clientHosts = new Set<Child>();
  readonly #workers = new Set<Child>();
  #hosts = 0;
  /** Clients that die do not come again. */
  #isLate = false;
  #isOver = false;
  #failure: Error | undefined;

  constructor(launcher: Launcher, site: LabSite, settings: TrialSettings, folder: string) {
    this.#launcher = launcher;
    this.#site = site;
    this.#settings = settings;
    this.#folder = folder;
  }

  async run(): Promise<Trial> {
    const { scheme, clients, situation, updates, hosts } = this.#settings;
    const numbers = Array.from({ length: clients }, (_, client) =>
      everyNth(client, clients, updates),
    );
    if (schemeOf(scheme).queue !== undefined) {
      await Promise.all(Array.from({ length: hosts }, () => this.#startWorker()));
    }
    const groups = Array.from({ length: hosts }, (_, host) =>
      numbers.filter((_of, client) => client % hosts === host),
    ).filter((group) => group.length > 0);
    const opened = await Promise.all(groups.map((group) => this.#openClients(group)));
    const startedMs = monotonicMs();
    const allDone = Promise.all(opened.map((clientHost) => this.#finish(clientHost)));
    if (!(await within(TRIAL_MS, allDone))) {
      this.#isLate = true;
      await Promise.all([...this.#clientHosts].map((child) => child.end()));
    }
    const seen = readEvidence(this.#folder);
    const lastMs = Math.max(startedMs, ...seen.done.values());

    const probe = await this.#openClients([[updates]]);
    const wedged = !(await within(WEDGED_MS, this.#finish(probe)));
    this.#isOver = true;
    await this.#endAll();
    if (this.#failure !== undefined) throw this.#failure;
    const evidence = readEvidence(this.#folder);
    return {
      ...{ scheme, clients, situation, updates },
      ...judge(await this.#hashInTheEnd(), evidence),
      done: seen.done.size,
      wedged,
      seconds: (lastMs - startedMs) / 1_000,
      standstillSeconds: longestStandstillMs(startedMs, seen) / 1_000,
    };
  }

  async clear(): Promise<void> {
    this.#isOver = true;
    await this.#endAll();
  }

  async #endAll(): Promise<void> {
    const children = [...this.#clientHosts, ...this.#workers];
    await Promise.all(children.map((child) => child.end()));
  }

  async #openClients(clients: ClientsOrder['clients']): Promise<ClientHost> {
    const child = this.#launch(this.#clientHosts);
    const ms = this.#settings.clients * PAUSE_MS_PER_CLIENT;
    const longestPauseMs = Math.max(PAUSE_MS_MIN, ms);
    const order: ClientsOrder = { ...this.#order(), clients, longestPauseMs };
    await child.call('openClients', order);
    return { child, clients };
  }

  /** Until all is done. When the process dies, its clients come again and make what is left. */
  async #finish(host: ClientHost): Promise<void> {
    for (let { child, clients } = host; ; ) {
      try {
        await child.call('runClients');
        return;
      } catch (thrown) {
        if (this.#isOver || this.#isLate) return;
        if (!child.wasKilled) throw thrown;
      }
      const { done } = readEvidence(this.#folder);
      const left = clients.map((numbers) => numbers.filter((i) => !done.has(i)));
      ({ child, clients } = await this.#openClients(left));
    }
  }

  /** Starts another one whenever it dies. */
  async #startWorker(): Promise<void> {
    const { clients, hosts } = this.#settings;
    const concurrency = Math.min(WORKER_CONCURRENCY_MAX, Math.ceil(clients / hosts));
    const child = this.#launch(this.#workers);
    void child.ended
      .then(() => (this.#isOver ? undefined : this.#startWorker()))
      .catch((cause: unknown) => {
        this.#failure ??= cause instanceof Error ? cause : new Error(String(cause));
      });
    try {
      await child.call('work', { ...this.#order(), concurrency } satisfies WorkerOrder);
    } catch (thrown) {
      // Its first job may have been one that kills: there is another one already.
      if (!child.wasKilled) throw thrown;
    }
  }

  #launch(among: Set<Child>): Child {
    const child = this.#launcher.launch(HOST, () => undefined);
    among.add(child);
    return child;
  }

  get #key(): string {
    return `${this.#name}:key`;
  }

  #order() {
    const { scheme, situation, updates } = this.#settings;
    return {
      name: String(this.#hosts++),
      ...{ scheme, site: this.#site, queue: this.#name, key: this.#key },
      plan: {
        ...{ situation, at: momentsOf(situation, updates) },
        ...{ lockMs: LOCK_MS, folder: this.#folder },
      },
    };
  }

  async #hashInTheEnd(): Promise<number | undefined> {
    const { queue } = schemeOf(this.#settings.scheme);
    const system = queue === undefined ? undefined : await systemEntry(queue).load();
    const readValues = system?.readValues ?? readPlainValues;
    const [value] = await readValues(this.#site, [this.#key]);
    return value?.hash;
  }
}

interface ClientHost {
  readonly child: Child;
  readonly clients: ClientsOrder['clients'];
}

function everyNth(first: number, step: number, end: number): number[] {
  return Array.from({ length: Math.ceil((end - first) / step) }, (_, at) => first + at * step);
}

/** @returns false: it is not done by then */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
