/** Lines that end when the process is told to stop. */
import { expect, test } from 'vitest';
import { abortable } from '../../../src/cli/recordings/abortable.ts';

const taken = async (lines: AsyncIterable<string>): Promise<string[]> => {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
};

test('are the same ones if nothing happens', async () => {
  const { signal } = new AbortController();
  expect(await taken(abortable(['a', 'b'], signal))).toEqual(['a', 'b']);
});

test('end while the next one is awaited, and before it is asked for', async () => {
  const stopping = new AbortController();
  let asked = 0;
  const silent = (async function* () {
    for (; asked < 1; asked++) yield 'a';
    await new Promise(() => undefined);
  })();
  const waiting = taken(abortable(silent, stopping.signal));
  stopping.abort(new Error('stop'));
  await expect(waiting).rejects.toThrow('stop');
  await expect(taken(abortable(['a'], stopping.signal))).rejects.toThrow('stop');
});

test('close their source if who reads them stops early, or it fails', async () => {
  const { signal } = new AbortController();
  let isClosed = false;
  const source = (async function* () {
    try {
      yield 'a';
      yield 'b';
    } finally {
      isClosed = true;
    }
  })();
  for await (const _ of abortable(source, signal)) break;
  expect(isClosed).toBe(true);
  const failing = (async function* (): AsyncGenerator<string> {
    yield 'a';
    throw new Error('mine');
  })();
  await expect(taken(abortable(failing, signal))).rejects.toThrow('mine');
});
