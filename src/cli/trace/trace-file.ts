/** Recorded editing traces: reading and checking one file. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { messageOf, TorilError } from '../../errors.ts';
import type { Patch } from './trace-updates.ts';

/** A document's history: format `sequential_traces` of github.com/josephg/editing-traces. */
export interface Trace {
  /** The file's name without its endings. */
  readonly name: string;
  /** What the document holds after the last transaction. */
  readonly endContent: string;
  /** One job each. A document that does not start empty starts with an insertion in the first one. */
  readonly transactions: readonly (readonly Patch[])[];
}

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

/** @throws TorilError BAD_FILE, naming the file and what is wrong with it */
export async function readTrace(file: string): Promise<Trace> {
  let text: string;
  try {
    const bytes = await readFile(file);
    const zipped = bytes.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC);
    text = (zipped ? await promisify(gunzip)(bytes) : bytes).toString();
  } catch (cause) {
    throw new TorilError('BAD_FILE', `${file} cannot be read: ${messageOf(cause)}.`, { cause });
  }
  return parseTrace(file, text);
}

/** @throws TorilError BAD_FILE */
export function parseTrace(file: string, text: string): Trace {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw notATrace(file, `it is not JSON (${messageOf(cause)})`, cause);
  }
  if (!isObject(parsed)) throw notATrace(file, 'it is no object');
  const { startContent = '', endContent, txns } = parsed;
  if (typeof startContent !== 'string') throw notATrace(file, 'its startContent is no string');
  if (typeof endContent !== 'string') throw notATrace(file, 'its endContent is no string');
  if (!Array.isArray(txns) || txns.length === 0) {
    throw notATrace(file, 'its txns are no list, or an empty one');
  }
  const transactions = txns.map((txn: unknown, index) => patchesOf(file, txn, index));
  if (startContent !== '') transactions[0]?.unshift([0, 0, startContent]);
  return { name: basename(file).replace(/(\.json)?(\.gz)?$/, ''), endContent, transactions };
}

function patchesOf(file: string, txn: unknown, index: number): Patch[] {
  const patches: unknown = isObject(txn) ? txn['patches'] : undefined;
  if (!Array.isArray(patches)) throw notATrace(file, `transaction ${index} has no list of patches`);
  return patches.map((patch: unknown) => {
    if (isPatch(patch)) return patch;
    throw notATrace(
      file,
      `transaction ${index} has a patch that is not [position, deleteCount, inserted]`,
    );
  });
}

function isPatch(patch: unknown): patch is Patch {
  return (
    Array.isArray(patch) && isCount(patch[0]) && isCount(patch[1]) && typeof patch[2] === 'string'
  );
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function notATrace(file: string, why: string, cause?: unknown): TorilError {
  return new TorilError(
    'BAD_FILE',
    `${file} is no editing trace: ${why}. Expected JSON, perhaps gzipped: { startContent, endContent, txns: [{ patches: [[position, deleteCount, inserted], ...] }] }.`,
    { cause },
  );
}
