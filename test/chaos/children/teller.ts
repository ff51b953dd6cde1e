/** Takes snapshots of all accounts, as a web tier does that must never show a transfer at one of them alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from '../../../src/index.ts';
import { isAccount, nowUs, type Value, valueOf } from '../history.ts';
import { orders, ready, recorder, redisConnection, serve } from './orders.ts';

const PAUSE_MS = 100;

const queue = new Queue(orders.queue, { connection: redisConnection });
queue.on('error', () => undefined);
const accounts = orders.keys.filter(isAccount);
let last = '';

async function look(): Promise<void> {
  const sinceUs = nowUs();
  const seen = await queue.snapshot<Value>(accounts);
  const values = Object.fromEntries(
    [...seen].flatMap(([key, { value }]) => (value === undefined ? [] : [[key, valueOf(value)]])),
  );
  const text = JSON.stringify(values);
  if (text === last) return;
  last = text;
  recorder.note({ e: 'snapshot', sinceUs, values });
}

async function watch(): Promise<never> {
  for (;;) {
    await look().catch(() => undefined); // next time
    await sleep(PAUSE_MS);
  }
}

void watch();
serve(() => Promise.resolve());
ready();
