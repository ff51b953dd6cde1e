/** Pages that are kept up to date. */
import { expect, test } from 'vitest';
import { TorilError } from '../../../src/errors.ts';
import { createApp } from '../../../src/ui/app.ts';
import { PlayedBoard } from '../../support/played-board.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const visitor = { who: 'ada', may: 'write' } as const;

interface Told {
  readonly event: string;
  readonly data: string;
}

/** The next event of a stream; undefined: it has ended. */
class Events {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #text = '';

  constructor(response: Response) {
    if (response.body === null) throw new Error('no stream');
    this.#reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }

  async next(): Promise<Told | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end >= 0) return this.#cut(end);
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += new TextDecoder().decode(value);
    }
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }

  #cut(end: number): Told {
    const lines = this.#text.slice(0, end).split('\n');
    this.#text = this.#text.slice(end + 2);
    const of = (name: string): string =>
      lines
        .filter((line) => line.startsWith(`${name}: `))
        .map((line) => line.slice(name.length + 2))
        .join('\n');
    return { event: of('event'), data: of('data') };
  }
}

function following(path = '/live?of=lanes') {
  const clock = new VirtualClock();
  const board = new PlayedBoard([{ key: 'a-1' }]);
  const app = createApp({ authorize: () => visitor }, [board], clock);
  const open = async (): Promise<Response> => app.fetch(new Request(`http://localhost${path}`));
  return { clock, board, app, open };
}

test('a page is sent again when it has changed, and only then', async () => {
  const { clock, board, app, open } = following();
  const events = new Events(await open());
  expect((await events.next())?.data).toContain('a-1');
  await clock.advance(5_000);
  board.lanesThere = [{ key: 'b-2' }];
  const next = events.next();
  await clock.advance(1_000);
  const told = await next;
  expect(told?.event).toBe('page');
  expect(told?.data).toContain('b-2');
  expect(told?.data).not.toContain('a-1');
  app.close();
});

test('what goes wrong is told, and the page comes back', async () => {
  const { clock, board, app, open } = following('/live?of=lane&key=a-1');
  const events = new Events(await open());
  await events.next();
  board.broken = new TorilError('REDIS_FAILED', 'gone');
  const trouble = events.next();
  await clock.advance(1_000);
  expect(await trouble).toEqual({ event: 'trouble', data: 'not live: REDIS_FAILED' });
  board.broken = undefined;
  const back = events.next();
  await clock.advance(1_000);
  expect((await back)?.event).toBe('page');
  app.close();
});

test('silence is broken before a proxy gives up, and a stream ends after minutes', async () => {
  const { clock, app, open } = following();
  const events = new Events(await open());
  await events.next();
  const still = events.next();
  await clock.advance(17_000);
  expect((await still)?.event).toBe('still');
  const all: string[] = [];
  const ended = (async () => {
    for (let told = await events.next(); told !== undefined; told = await events.next())
      all.push(told.event);
  })();
  await clock.advance(5 * 60_000);
  await ended;
  expect(new Set(all)).toEqual(new Set(['still']));
  app.close();
});

test('a hundred are enough, and one that is left makes room', async () => {
  const { clock, app, open } = following();
  const all: Events[] = [];
  for (let at = 0; at < 100; at++) all.push(new Events(await open()));
  const refused = await open();
  expect([refused.status, await refused.text()]).toEqual([
    503,
    expect.stringContaining('100 pages are live already'),
  ]);
  await all[0]?.next();
  await all[0]?.cancel();
  await clock.advance(2_000);
  expect((await open()).status).toBe(200);
  app.close();
});

test('all end when the page closes', async () => {
  const { app, open } = following();
  const events = new Events(await open());
  await events.next();
  app.close();
  expect(await events.next()).toBeUndefined();
});
