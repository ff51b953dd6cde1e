/**
 * Which jobs a commit has decided, as its envelope says it: by their sequences, which no other job ever bears,
 * not even if Redis gives out numbers again that it has forgotten. Most commits decide one job, whose sequence
 * is the watermark: they say nothing. Others tell the distances between their sequences in order, in runs:
 * `1*499 37` for 500 jobs that were enqueued together and one that came 37 µs later.
 */
export function encodeSequences(sequences: readonly number[]): string | undefined {
  if (sequences.length === 1) return undefined;
  const runs: string[] = [];
  let run = 0;
  for (let at = 1; at < sequences.length; at++) {
    const gap = gapAt(sequences, at);
    run += 1;
    if (at + 1 < sequences.length && gapAt(sequences, at + 1) === gap) continue;
    runs.push(run === 1 ? String(gap) : `${gap}*${run}`);
    run = 0;
  }
  return runs.join(' ');
}

/** In order; the last one is the watermark. */
export function decodeSequences(text: string | undefined, watermark: number): number[] {
  if (text === undefined) return [watermark];
  if (text === '') return [];
  const backwards = [watermark];
  let sequence = watermark;
  for (const part of text.split(' ').toReversed()) {
    const [gap, times = '1'] = part.split('*');
    for (let left = Number(times); left > 0; left--) {
      sequence -= Number(gap);
      backwards.push(sequence);
    }
  }
  return backwards.toReversed();
}

function gapAt(sequences: readonly number[], at: number): number {
  return (sequences[at] as number) - (sequences[at - 1] as number);
}
