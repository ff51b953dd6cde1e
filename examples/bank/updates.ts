/**
 * A bank. A transfer takes from one account and gives to another: both, or neither, once, and in order with everything
 * else that happens to either of them. So no money is made or lost, and an account that is not covered is never overdrawn.
 */
import {
  type CellDefinition,
  defineCell,
  type Queue,
  type SnapshotValue,
  type Transaction,
  type Update,
} from 'toril';

export interface Account {
  readonly cents: number;
  /** The last lines, newest last. */
  readonly lines: readonly Line[];
}

export interface Line {
  /** The same on both accounts, and in every replay: `context.id()`. */
  readonly id: string;
  /** The other account; `cash` for what was paid in. */
  readonly with: string;
  readonly cents: number;
}

export interface Deposit {
  readonly to: string;
  readonly cents: number;
}

export interface Transfer extends Deposit {
  readonly from: string;
}

const LINES = 5;

function booked({ cents, lines }: Account, line: Line): Account {
  return { cents: cents + line.cents, lines: [...lines, line].slice(-LINES) };
}

export const account: CellDefinition<string, Account> = defineCell({
  name: 'account',
  key: (id: string) => `bank:${id}`,
  initial: (): Account => ({ cents: 0, lines: [] }),
});

export const deposit: Update<'deposit', Account, Deposit, Deposit, number> = account.update({
  name: 'deposit',
  id: ({ to }: Deposit) => to,
  apply: (value, { cents }, { id }) => booked(value, { id: id(), with: 'cash', cents }),
  result: (value) => value?.cents ?? 0,
});

export const transfer: Transaction<'transfer', Transfer, Transfer, number> = account.transaction({
  name: 'transfer',
  ids: ({ from, to }: Transfer) => [from, to],
  apply: ([payer, payee], { from, to, cents }, context) => {
    if (cents > payer.cents) throw new Error(`${payer.cents} cents are not enough`);
    const id = context.id();
    return [
      booked(payer, { id, with: to, cents: -cents }),
      booked(payee, { id, with: from, cents }),
    ];
  },
  result: ([payer]) => payer?.cents ?? 0,
});

/** The same transfer again and again, every so many milliseconds. `id`: it replaces the order that has it. */
export async function standingOrder(
  queue: Queue,
  id: string,
  order: Transfer,
  everyMs: number,
): Promise<void> {
  await queue.upsertJobScheduler(id, { every: everyMs }, { name: transfer.name, data: order });
}

export interface Statement {
  readonly accounts: ReadonlyMap<string, SnapshotValue<Account>>;
  readonly totalCents: number;
}

/** All accounts as of one moment: between two transfers, never in the middle of one. */
export async function statement(queue: Queue, ids: readonly string[]): Promise<Statement> {
  const accounts = await queue.snapshot<Account>(ids.map(account.key));
  const cents = [...accounts.values()].map(({ value }) => value?.cents ?? 0);
  return { accounts, totalCents: cents.reduce((sum, each) => sum + each, 0) };
}
