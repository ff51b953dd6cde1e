/**
 * Pages that are kept up to date, by server-sent events: a part of a page is made again every second, and sent if it has
 * changed. A stream ends after some minutes; the browser asks again, and is let in again or not.
 */
import { type Clock, pause } from '../base/clock.ts';
import { type Context, HTTPException, streamSSE } from './web.ts';
import type { Html } from './pages/html.ts';
import { troubleLine } from './trouble.ts';

const EVERY_MS = 1_000;
/** Of silence, after which proxies give a connection up; most take a minute. */
const SILENCE_MAX_MS = 15_000;
const STREAM_MS = 5 * 60_000;
/** Each costs Redis some calls a second. */
const STREAMS_MAX = 100;

export class LiveStreams {
  readonly #clock: Clock;
  readonly #over = new AbortController();
  #open = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param make what the page shows now; what it throws is told, and tried again */
  stream(context: Context, make: () => Promise<Html>): Response {
    if (this.#open >= STREAMS_MAX) {
      throw new HTTPException(503, { message: `${STREAMS_MAX} pages are live already.` });
    }
    this.#open += 1;
    context.header('X-Accel-Buffering', 'no'); // nginx would keep events back
    return streamSSE(context, async (stream) => {
      const left = new AbortController();
      stream.onAbort(() => left.abort());
      const signal = AbortSignal.any([left.signal, this.#over.signal]);
      try {
        await this.#follow(make, signal, (event, data) => stream.writeSSE({ event, data }));
      } finally {
        this.#open -= 1;
      }
    });
  }

  close(): void {
    this.#over.abort();
  }

  async #follow(
    make: () => Promise<Html>,
    signal: AbortSignal,
    send: (event: string, data: string) => Promise<void>,
  ): Promise<void> {
    const endsAtMs = this.#clock.monotonicMs() + STREAM_MS;
    let [before, sentAtMs] = ['', 0];
    while (!signal.aborted && this.#clock.monotonicMs() < endsAtMs) {
      const [event, data] = await made(make);
      const nowMs = this.#clock.monotonicMs();
      const isNew = event + data !== before;
      if (isNew || nowMs - sentAtMs > SILENCE_MAX_MS) {
        await send(isNew ? event : 'still', isNew ? data : '');
        [before, sentAtMs] = [event + data, nowMs];
      }
      await pause(this.#clock, EVERY_MS, signal);
    }
  }
}

async function made(make: () => Promise<Html>): Promise<readonly [event: string, data: string]> {
  try {
    return ['page', String(await make())];
  } catch (thrown) {
    return ['trouble', troubleLine(thrown)];
  }
}
