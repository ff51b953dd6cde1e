/** Toril as users have it: the built package, with its default settings. */
import type { Producer, ProducerSettings, Site, System, Worker, WorkerSettings } from './system.ts';
import type { Value, Work } from './work.ts';

type Product = typeof import('../src/index.ts');

async function productOf(site: Site): Promise<Product> {
  return (await import(site.product)) as Product;
}

function updateOf(
  { defineUpdate }: Product,
  { change, initial, strict }: Pick<WorkerSettings, 'change' | 'initial' | 'strict'>,
) {
  return defineUpdate({
    name: 'append',
    key: (work: Work) => work.key,
    initial,
    apply: (value: Value, work: Work) => change(value, work),
    strict,
  });
}

function producersUpdate(product: Product) {
  const unused = () => {
    throw new Error('a producer applies nothing');
  };
  return updateOf(product, { change: unused, initial: unused, strict: false });
}

export async function openTorilQueue(
  site: Site,
  run: string,
  { removeOnComplete }: ProducerSettings,
) {
  const product = await productOf(site);
  const update = producersUpdate(product);
  const queue = new product.Queue(run, {
    connection: { url: site.redis },
    updates: [update],
    ...(removeOnComplete && { defaultJobOptions: { removeOnComplete: true } }),
  });
  await queue.waitUntilReady();
  return { queue, update };
}

async function openProducer(
  site: Site,
  run: string,
  settings: ProducerSettings,
): Promise<Producer> {
  const { queue, update } = await openTorilQueue(site, run, settings);
  return {
    async enqueue(works) {
      const [only] = works;
      if (works.length === 1 && only !== undefined) await queue.enqueue(update, only);
      else await queue.enqueueBulk(works.map((data) => ({ update, data })));
    },
    close: () => queue.close(),
  };
}

async function openWorker(
  site: Site,
  run: string,
  settings: WorkerSettings,
  protocol: 'auto' | 'binary' = 'auto',
): Promise<Worker> {
  const product = await productOf(site);
  const { lockMs } = settings;
  const worker = new product.Worker(run, {
    connection: { url: site.redis, maxRetriesPerRequest: null },
    memcached: { servers: site.memcached, protocol },
    updates: [updateOf(product, settings)],
    concurrency: settings.concurrency,
    history: settings.history ? 'on' : 'off',
    autorun: false,
    ...(lockMs !== undefined && { leaseMs: lockMs, lockDuration: lockMs, stalledInterval: lockMs }),
  });
  worker.on('completed', (job) => settings.onCompleted(job.data as Work));
  worker.on('failed', (_job, cause) => settings.onFailed(cause));
  worker.on('error', () => undefined); // a run that cannot go on ends by its own deadline
  await worker.waitUntilReady();
  return {
    start: () => void worker.run().catch(settings.onFailed),
    close: () => worker.close(),
  };
}

export const toril: System = {
  openProducer,
  openWorker: (site, run, settings) => openWorker(site, run, settings),
  async readValues(site, keys) {
    const { openCells } = await productOf(site);
    const cells = openCells({ memcached: site.memcached });
    try {
      const values = await cells.getMany<Value>(keys);
      return keys.map((key) => values.get(key));
    } finally {
      await cells.close();
    }
  },
};

/** In the deprecated protocol, whose bytes memjs makes and reads. */
export const torilByMemjs: System = {
  ...toril,
  openWorker: (site, run, settings) => openWorker(site, run, settings, 'binary'),
};
