/**
 * A ledger. Deposits and interest do not commute: 100.00 deposited before the interest of the month
 * earns some, after it none. A lost, doubled or reordered job is a wrong balance.
 */
import { defineUpdate, type Update } from 'toril';

export interface Account {
  readonly cents: number;
  /** The last lines, newest last. */
  readonly statement: readonly StatementLine[];
}

export interface StatementLine {
  /** The same again in every replay: `context.id()`. */
  readonly id: string;
  readonly what: 'deposit' | 'withdrawal' | 'interest';
  readonly cents: number;
  /** When the job entered its lane: `context.now`. */
  readonly at: number;
}

export interface Amount {
  readonly account: string;
  readonly cents: number;
}

export interface Interest {
  readonly account: string;
  /** 25: 0.25 %. */
  readonly basisPoints: number;
}

const STATEMENT_LINES = 5;

function initial(): Account {
  return { cents: 0, statement: [] };
}

function booked(account: Account, line: StatementLine): Account {
  return {
    cents: account.cents + line.cents,
    statement: [...account.statement, line].slice(-STATEMENT_LINES),
  };
}

export const deposit: Update<'deposit', Account, Amount, Amount, number> = defineUpdate({
  name: 'deposit',
  key: ({ account }: Amount) => `account:${account}`,
  initial,
  apply: (account: Account, { cents }: Amount, { id, now }) =>
    booked(account, { id: id(), what: 'deposit', cents, at: now }),
  result: (account) => account?.cents ?? 0,
});

export const withdraw: Update<'withdraw', Account, Amount, Amount, number> = defineUpdate({
  name: 'withdraw',
  key: ({ account }: Amount) => `account:${account}`,
  initial,
  apply: (account: Account, { cents }: Amount, { id, now }) => {
    if (cents > account.cents) throw new Error(`${account.cents} cents are not enough`);
    return booked(account, { id: id(), what: 'withdrawal', cents: -cents, at: now });
  },
  result: (account) => account?.cents ?? 0,
});

export const interest: Update<'interest', Account, Interest, Interest, number> = defineUpdate({
  name: 'interest',
  key: ({ account }: Interest) => `account:${account}`,
  initial,
  apply: (account: Account, { basisPoints }: Interest, { id, now }) => {
    const cents = Math.round((account.cents * basisPoints) / 10_000);
    return booked(account, { id: id(), what: 'interest', cents, at: now });
  },
  result: (account) => account?.cents ?? 0,
});
