/** What the simulated part of Toril needs of `node:crypto`: the hashes of names and of values. */
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, randomBytes as randomArray, utf8ToBytes } from '@noble/hashes/utils.js';

const HASHES = { sha1, sha256 };
type Algorithm = keyof typeof HASHES;

/** In hexadecimal, whatever is asked for: nobody asks for anything else. */
export function hash(algorithm: Algorithm, text: string): string {
  return bytesToHex(HASHES[algorithm](utf8ToBytes(text)));
}

export function createHash(algorithm: Algorithm): {
  update(text: string): { digest(): string };
} {
  return { update: (text) => ({ digest: () => hash(algorithm, text) }) };
}

export function randomBytes(count: number): Buffer {
  return Buffer.from(randomArray(count));
}
