/** A user's file, as --updates names it. */
import { z } from 'zod';
import { type AnyUpdate, defineUpdate } from '../../src/index.ts';

const deposit = defineUpdate({
  name: 'deposit',
  schema: z.object({ account: z.string(), cents: z.number().int() }),
  key: ({ account }) => account,
  initial: () => ({ cents: 0, jobs: 0 }),
  apply: (account: { cents: number; jobs: number }, { cents }) => {
    if (account.cents + cents < 0) throw new Error('there is not enough money');
    return { cents: account.cents + cents, jobs: account.jobs + 1 };
  },
  result: (account) => account?.cents,
  onExhausted: 'hold',
});

const slow = defineUpdate({
  name: 'slow',
  key: ({ account }: { account: string; ms: number }) => account,
  initial: () => ({ cents: 0, jobs: 0 }),
  apply: async (account: { cents: number; jobs: number }, { ms }) => {
    process.stderr.write('slow began\n');
    await new Promise((resolve) => setTimeout(resolve, ms));
    return { ...account, jobs: account.jobs + 1 };
  },
});

const updates: readonly AnyUpdate[] = [deposit, slow];
export default updates;
