/** Accounts as somebody saw them, and what is wrong with them. Pure, and shares no code with the product. */

export const START_CENTS = 1_000_000;

export interface Account<Digest extends number | string = number | string> {
  readonly cents: number;
  readonly transfers: number;
  /** Made of its transfers in their order: none can be missing, twice or in another's place. */
  readonly digest: Digest;
}

export const UNTOUCHED: Account<number> = { cents: START_CENTS, transfers: 0, digest: 0 };

/** Accounts as they were at one moment; those that are missing were not touched yet. */
export type Accounts = ReadonlyMap<string, Account>;

/**
 * What is wrong with them.
 * @param states what may be seen of each: its state after so many of its transfers, from none to all
 */
export function wrongWith(
  seen: Accounts,
  states: ReadonlyMap<string, readonly Account[]>,
): string[] {
  const wrong: string[] = [];
  for (const [key, its] of states) {
    const account = seen.get(key) ?? UNTOUCHED;
    const wanted = its[account.transfers];
    if (wanted?.cents !== account.cents || wanted.digest !== account.digest)
      wrong.push(`${key} is ${JSON.stringify(account)}, not ${JSON.stringify(wanted)}`);
  }
  return [...wrong, ...wrongSum(seen, states.keys())];
}

export function wrongSum(seen: Accounts, keys: Iterable<string>): string[] {
  let [sum, wanted] = [0, 0];
  for (const key of keys) {
    sum += (seen.get(key) ?? UNTOUCHED).cents;
    wanted += START_CENTS;
  }
  return sum === wanted ? [] : [`the sum is ${sum}, not ${wanted}`];
}
