/** The words with which Redis refuses for a while what it will do again by itself, or after a failover. */
const PASSING: ReadonlySet<string> = new Set([
  ...['LOADING', 'MASTERDOWN', 'READONLY', 'NOREPLICAS', 'MISCONF', 'OOM', 'BUSY', 'UNKILLABLE'],
  ...['CLUSTERDOWN', 'TRYAGAIN', 'MOVED', 'ASK'],
]);

/** Whether the same request may succeed later. What is no answer of Redis (a connection that ended) may. */
export function mayPass({ message }: Error): boolean {
  const [, word] = /^([A-Z][A-Z\d]+)( |$)/.exec(message) ?? [];
  return word === undefined || PASSING.has(word);
}
