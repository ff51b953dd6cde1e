/** Signing what goes to a browser and comes back. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { secretText } from '../../base/random.ts';

export class Signatures {
  readonly #secret: string;

  constructor(secret: string | undefined) {
    this.#secret = secret ?? secretText();
  }

  /** @param purpose keeps a signature of one kind from being used as another */
  sign(purpose: string, text: string): string {
    return createHmac('sha256', this.#secret).update(`${purpose}\n${text}`).digest('base64url');
  }

  isOf(signature: string, purpose: string, text: string): boolean {
    return isSame(signature, this.sign(purpose, text));
  }
}

/** In a time that tells nothing of where two texts differ, nor of how long they are. */
export function isSame(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
