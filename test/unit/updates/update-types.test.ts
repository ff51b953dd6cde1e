/** Types flow from an update to whoever enqueues it. Checked by the compiler; nothing runs. */
import { expectTypeOf, it } from 'vitest';
import * as z from 'zod';
import { defineUpdate, type Queue } from '../../../src/index.ts';

const deposit = defineUpdate({
  name: 'deposit',
  schema: z.object({ account: z.string(), cents: z.string().transform(Number) }),
  key: ({ account }) => account,
  initial: () => 0,
  apply: (balance: number, { cents }) => balance + cents,
  result: (balance) => ({ balance }),
});
const rename = defineUpdate({
  name: 'rename',
  key: (data: { id: string }) => data.id,
  initial: () => '',
  apply: (_name: string, { id }) => id,
});

export async function neverCalled(queue: Queue): Promise<void> {
  const job = await queue.enqueue(deposit, { account: 'a', cents: '5' });
  expectTypeOf(job.name).toEqualTypeOf<'deposit'>();
  expectTypeOf(job.returnvalue).toEqualTypeOf<{ balance: number | undefined }>();
  expectTypeOf(job.data).toEqualTypeOf<{ account: string; cents: string }>();
  // @ts-expect-error cents is what the schema takes, not what it makes of it
  await queue.enqueue(deposit, { account: 'a', cents: 5 });
  // @ts-expect-error the data of another update
  await queue.enqueue(rename, { account: 'a', cents: '5' });

  const mixed = await queue.enqueueBulk([
    { update: deposit, data: { account: 'a', cents: '5' } },
    { update: rename, data: { id: 'b' }, options: { priority: 1 } },
  ]);
  expectTypeOf(mixed[0].returnvalue).toEqualTypeOf<{ balance: number | undefined }>();
  expectTypeOf(mixed[1].data).toEqualTypeOf<{ id: string }>();
  // @ts-expect-error the data of another update
  await queue.enqueueBulk([{ update: deposit, data: { id: 'b' } }]);
  const many = await queue.enqueueBulk(['a', 'b'].map((id) => ({ update: rename, data: { id } })));
  expectTypeOf(many[0]?.name).toEqualTypeOf<'rename' | undefined>();
}

it('types are checked by the compiler', () => {
  expectTypeOf(neverCalled).toBeFunction();
});
