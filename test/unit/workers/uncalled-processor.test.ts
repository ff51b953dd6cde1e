/** What frameworks pass where BullMQ takes a processor. */
import { expect, expectTypeOf, test } from 'vitest';
import { noProcessor, type Worker, type WorkerOptions } from '../../../src/index.ts';
import { optionsAmong } from '../../../src/workers/uncalled-processor.ts';

const options = { connection: {}, updates: [] } as unknown as WorkerOptions;

class Host {
  async process(): Promise<void> {}
}
class Busy {
  async process(job: { data: unknown }): Promise<unknown> {
    return job.data;
  }
}
class Bound {
  readonly process: () => Promise<void> = noProcessor;
}

test.each([
  ['nothing', undefined],
  ['null', null],
  ['noProcessor', noProcessor],
  ['noProcessor bound', noProcessor.bind(undefined)],
  ['noProcessor as a method, bound', new Bound().process.bind(new Host())],
  ['an empty arrow', () => {}],
  ['an empty asynchronous arrow', async (_job: unknown, _token?: string) => {}],
  ['an empty function', function process(): void {}],
  ['an empty method', new Host().process],
  [
    'a comment alone',
    // oxlint-disable-next-line func-style
    (): void => {
      // Toril applies the updates; /* this */ does nothing
    },
  ],
])('%s is taken', (_what, processor) => {
  expect(optionsAmong([processor, options])).toBe(options);
});

test.each([
  ['a processor', (job: { data: unknown }) => job.data, 'a processor'],
  ['an expression', () => undefined, 'a processor'],
  ['a method', new Busy().process, 'a processor ("process")'],
  [
    'a bound method, which cannot be read',
    new Host().process.bind(new Host()),
    '("bound process")',
  ],
  ['work among comments', () => void ['/*', Math.max(1), '*/'], 'a processor'],
  ['work in a default', (_job: unknown, _value = Math.max(1)) => {}, 'a processor'],
  ['the path of a sandboxed one', './processor.js', 'a processor (string)'],
  ['a URL', new URL('file:///processor.js'), 'a processor (object)'],
])('%s is refused', (_what, processor, named) => {
  expect(() => optionsAmong([processor as never, options])).toThrow(named);
  expect(() => optionsAmong([processor as never, options])).toThrow(
    'Put what it does into defineUpdate()',
  );
});

test('a processor without options is refused as such', () => {
  expect(() => optionsAmong([(() => {}) as never])).toThrow('never calls a processor');
});

test('options alone', () => {
  expect(optionsAmong([options])).toBe(options);
  expectTypeOf<ConstructorParameters<typeof Worker>[0]>().toEqualTypeOf<string>();
});
