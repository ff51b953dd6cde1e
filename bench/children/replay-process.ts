/** A process that makes a recording, or replays one: the built product, and a trivial update. */
import { hash } from 'node:crypto';
import { serve } from './calls.ts';

type Product = typeof import('../../src/index.ts');
type Page = Awaited<ReturnType<Parameters<Product['record']>[0]['history']['read']>>;
type Entry = Page['entries'][number];

export interface RecordingOrder {
  /** URL of the built product's main module. */
  readonly product: string;
  readonly file: string;
}

export interface WriteOrder extends RecordingOrder {
  readonly commits: number;
  readonly keys: number;
}

export interface Replayed {
  readonly ms: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  readonly commits: number;
  /** Every commit was folded, and had its hash. */
  readonly agrees: boolean;
}

interface Account {
  readonly cents: number;
  readonly deposits: number;
}
interface Deposit {
  readonly account: string;
  readonly cents: number;
}

const FIRST_SEQUENCE = 1_767_225_600_000_000;
const ENTRIES_PER_PAGE = 1_000;

function deposited({ cents, deposits }: Account, { cents: more }: Deposit): Account {
  return { cents: cents + more, deposits: deposits + 1 };
}

/** A history that no worker wrote: one deposit per commit, the keys in turns. */
class MadeHistory {
  readonly #commits: number;
  readonly #accounts: { value: Account; token: number }[];
  #made = 0;

  constructor({ commits, keys }: WriteOrder) {
    this.#commits = commits;
    this.#accounts = Array.from({ length: keys }, () => ({
      value: { cents: 0, deposits: 0 },
      token: 0,
    }));
  }

  async read(): Promise<Page> {
    const entries: Entry[] = [];
    while (entries.length < ENTRIES_PER_PAGE && this.#made < this.#commits) {
      entries.push(this.#next());
    }
    return { entries, next: this.#made < this.#commits ? { after: 0 } : undefined, until: 0 };
  }

  #next(): Entry {
    const n = this.#made++;
    const index = n % this.#accounts.length;
    const account = this.#accounts[index] as { value: Account; token: number };
    const [key, sequence, token, base] = [
      `account-${index}`,
      FIRST_SEQUENCE + 2 * n,
      FIRST_SEQUENCE + 2 * n + 1,
      account.token,
    ];
    const data: Deposit = { account: key, cents: (n * 7919) % 1000 };
    const value = deposited(account.value, data);
    this.#accounts[index] = { value, token };
    const json = JSON.stringify(value);
    return {
      ...{ id: `${Math.floor(token / 1000)}-${n}`, key, token, base, watermark: sequence },
      origin: base === 0 ? 'nothing' : 'base',
      hash: hash('sha256', json, 'hex').slice(0, 32),
      value: json,
      recovered: false,
      jobs: [
        {
          ...{ jobId: String(n + 1), name: 'deposit', sequence, attempt: 1, decision: '+' },
          data: JSON.stringify(data),
        },
      ],
    };
  }
}

async function write(order: WriteOrder): Promise<void> {
  const { record, writeRecording } = (await import(order.product)) as Product;
  const history = new MadeHistory(order);
  await writeRecording(order.file, record({ qualifiedName: 'bull:bench', history }));
}

async function replay({ product, file }: RecordingOrder): Promise<Replayed> {
  const { defineUpdate, replay: replayed } = (await import(product)) as Product;
  const update = defineUpdate({
    name: 'deposit',
    key: ({ account }: Deposit) => account,
    initial: (): Account => ({ cents: 0, deposits: 0 }),
    apply: deposited,
  });
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const { agrees, complete, commits } = await replayed(file, [update]);
  const ms = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  return {
    ...{ ms, commits, cpuSeconds: (user + system) / 1e6, agrees: agrees && complete },
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}

serve({ write, replay });
