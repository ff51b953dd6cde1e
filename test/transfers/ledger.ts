/** Transfers among accounts, the transaction that carries them out, and what they come to one after the other. */
import { defineTransaction } from '../../src/updates/transaction.ts';
import { type Account as Seen, UNTOUCHED } from './accounts.ts';

export type Account = Seen<number>;

export interface Transfer {
  readonly from: string;
  readonly to: string;
  readonly cents: number;
  /** Its place among all transfers. */
  readonly n: number;
}

const DIGEST_MODULUS = 1_000_003;

export const transfer = defineTransaction({
  name: 'transfer',
  keys: ({ from, to }: Transfer) => [from, to],
  initial: () => UNTOUCHED,
  apply: ([from, to], { cents, n }) => [after(from, -cents, n), after(to, cents, n)],
});

function after({ cents, transfers, digest }: Account, change: number, n: number): Account {
  return {
    cents: cents + change,
    transfers: transfers + 1,
    digest: (digest * 31 + n + 1) % DIGEST_MODULUS,
  };
}

/** Between random pairs. */
export function randomTransfers(
  count: number,
  keys: readonly string[],
  fraction: () => number,
): Transfer[] {
  return Array.from({ length: count }, (_, n) => {
    const from = Math.floor(fraction() * keys.length);
    const to = (from + 1 + Math.floor(fraction() * (keys.length - 1))) % keys.length;
    const cents = 1 + Math.floor(fraction() * 100);
    return { from: keys[from] as string, to: keys[to] as string, cents, n };
  });
}

/** What may be seen of each account: its state after so many of its transfers, from none to all. */
export function statesOf(
  transfers: readonly Transfer[],
  keys: readonly string[],
): ReadonlyMap<string, readonly Account[]> {
  const states = new Map<string, Account[]>(keys.map((key) => [key, [UNTOUCHED]]));
  for (const { from, to, cents, n } of transfers) {
    for (const [key, change] of [
      [from, -cents],
      [to, cents],
    ] as const) {
      const its = states.get(key) as Account[];
      its.push(after(its.at(-1) as Account, change, n));
    }
  }
  return states;
}
