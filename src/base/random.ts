import { hash, randomBytes } from 'node:crypto';

/** The only source of chance, so that a simulation can repeat a run from its seed. */
export interface Random {
  /** A number in [0, 1). */
  fraction(): number;
  /** A name that nobody else has: 16 hexadecimal characters. */
  id(): string;
}

const POOL_BYTES = 4096;
const ID_BYTES = 8;
let pool: Buffer = Buffer.alloc(0);
let used = 0;

/** Draws from the system's generator in blocks: one call per id would cost 2 µs on the hot path. */
function nextId(): string {
  if (used + ID_BYTES > pool.length) {
    pool = randomBytes(POOL_BYTES);
    used = 0;
  }
  const id = pool.toString('hex', used, used + ID_BYTES);
  used += ID_BYTES;
  return id;
}

export const systemRandom: Random = {
  fraction: () => Math.random(),
  id: nextId,
};

/** For tokens and signatures: 256 bits that nobody can guess, as 64 hexadecimal characters. */
export function secretText(): string {
  return randomBytes(32).toString('hex');
}

/**
 * A repeatable generator for updates and simulations: mulberry32 over a 32-bit seed
 * (Tommy Ettinger, public domain). Not for secrets.
 */
export function seededFraction(seed: string): () => number {
  let state = hash32(seed);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A repeatable name: a UUID of version 8 made from the first bits of SHA-256 (RFC 9562, appendix B.2).
 * The generator above has only 2^32 seeds, too few for names.
 */
export function seededUuid(seed: string): string {
  const digits = hash('sha256', seed, 'hex');
  const variant = ((Number.parseInt(digits[16] ?? '0', 16) & 0x3) | 0x8).toString(16);
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-8${digits.slice(13, 16)}-${variant}${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
}

/** FNV-1a, 32 bits. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}
