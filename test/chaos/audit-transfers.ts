/**
 * P1 for transfers, which change two accounts at once. Each account has a chain, as all keys have. It says in which order its jobs were
 * applied, and so what the account must have had at each moment, and whether both accounts have a transfer.
 */
import { type Account, UNTOUCHED, wrongSum, wrongWith } from '../transfers/accounts.ts';
import type { Evidence, KeyEvidence, Report } from './evidence.ts';
import { isAccount, type Value } from './history.ts';

export function auditTransfers(evidence: Evidence, report: Report): void {
  const accounts = evidence.keys.filter(({ key }) => isAccount(key));
  auditBoth(accounts, evidence, report);
  const states = new Map(accounts.map((account) => [account.key, statesOf(account, evidence)]));
  const tell = (what: string, wrong: readonly string[]): void => {
    for (const one of wrong) report('P1', '', `${what}: ${one}`);
  };
  for (const { values, sinceUs, us } of evidence.snapshots) {
    const seen = seenIn(Object.entries(values));
    // Redis may have forgotten it since, but not half of it.
    const isUnsure = evidence.rollbacks.isUnsure(sinceUs) || evidence.rollbacks.isUnsure(us);
    const wrong = isUnsure ? wrongSum(seen, states.keys()) : wrongWith(seen, states);
    tell(`a snapshot at ${us}`, wrong);
  }
  const copies = accounts.map(({ key }) => [key, evidence.end.copies.get(key)?.value] as const);
  tell('the copies in the end', wrongWith(seenIn(copies), states));
  const cells = accounts.map(({ key, reads }) => [key, reads.at(-1)?.value] as const);
  tell('the cells in the end', wrongWith(seenIn(cells), states));
}

/** Each transfer is in the chains of both accounts, or of neither. */
function auditBoth(
  accounts: readonly KeyEvidence[],
  { operations }: Evidence,
  report: Report,
): void {
  const counts = new Map<string, Map<string, number>>();
  for (const { key, chain } of accounts) {
    for (const { op } of chain) {
      if (operations.get(op)?.update !== 'transfer') continue;
      const its = counts.get(op) ?? new Map<string, number>();
      counts.set(op, its.set(key, (its.get(key) ?? 0) + 1));
    }
  }
  for (const [op, its] of counts) {
    const { key = '', to = '' } = operations.get(op) ?? {};
    const [left = 0, came = 0] = [its.get(key), its.get(to)];
    if (left !== came) {
      report('P1', key, `${op} was applied ${left} times to ${key}, ${came} times to ${to}`);
    }
  }
}

/** After each step of the chain, from none to all: what came to the account, and what went. */
function statesOf({ key, chain }: KeyEvidence, { operations }: Evidence): Account[] {
  const states: Account[] = [UNTOUCHED];
  for (const { op, made } of chain) {
    const { to, cents = 0 } = operations.get(op) ?? {};
    const before = states.at(-1)?.cents ?? 0;
    const change = to === key ? cents : -cents;
    states.push({ cents: before + change, transfers: made.n, digest: made.h });
  }
  return states;
}

function seenIn(
  values: readonly (readonly [string, Value | undefined])[],
): ReadonlyMap<string, Account> {
  const seen = new Map<string, Account>();
  for (const [key, value] of values) {
    if (value === undefined) continue;
    const { n, h, cents = Number.NaN } = value;
    seen.set(key, { cents, transfers: n, digest: h });
  }
  return seen;
}
