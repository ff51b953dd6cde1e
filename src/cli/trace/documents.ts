/** The traces of one run as documents with keys of their own, and their edits as jobs. Pure. */
import type { Trace } from './trace-file.ts';
import type { Edit } from './trace-updates.ts';

export interface TraceDocument extends Trace {
  /** Unique to the run. */
  readonly key: string;
}

/** Two files of one name become two documents. */
export function documentsOf(traces: readonly Trace[], prefix: string): TraceDocument[] {
  return traces.map((trace, index) => ({ ...trace, key: `${prefix}${index}:${trace.name}` }));
}

/**
 * All edits, each document's in order, all documents at once: each is spread evenly over the run,
 * so that the longest and the shortest one begin and end together.
 */
export function* interleaved(documents: readonly TraceDocument[]): Generator<Edit> {
  const nextIndex = documents.map(() => 0);
  for (;;) {
    let chosen: number | undefined;
    let least = 1;
    for (const [index, { transactions }] of documents.entries()) {
      const share = (nextIndex[index] ?? 0) / transactions.length;
      if (share < least) [chosen, least] = [index, share];
    }
    const document = chosen === undefined ? undefined : documents[chosen];
    if (chosen === undefined || document === undefined) return;
    const at = nextIndex[chosen] ?? 0;
    nextIndex[chosen] = at + 1;
    yield { document: document.key, patches: document.transactions[at] ?? [] };
  }
}

/** How a value differs from what was recorded, or undefined if it is the same, byte for byte. */
export function differenceFrom(endContent: string, value: unknown): string | undefined {
  if (value === undefined) return 'there is no value';
  if (typeof value !== 'string') return `the value is of type ${typeof value}, not a string`;
  const [expected, found] = [Buffer.from(endContent), Buffer.from(value)];
  if (expected.equals(found)) return undefined;
  const end = Math.min(expected.length, found.length);
  let at = 0;
  while (at < end && expected[at] === found[at]) at += 1;
  return `the value has ${found.length} bytes instead of ${expected.length}, and differs from byte ${at} on`;
}
