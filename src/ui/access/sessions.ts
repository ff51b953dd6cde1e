/**
 * Signing in with a token. The browser keeps a session, not the token: the number of the token, when the session ends,
 * and a signature that takes the token itself in, so that a token that is replaced ends its sessions. Nothing is kept
 * on the server.
 */
import type { Clock } from '../../base/clock.ts';
import type { AccessToken, Visitor } from '../options.ts';
import { isSame, type Signatures } from './signatures.ts';

export const SESSION_COOKIE = 'toril_session';
/** Seconds; a day's work. */
export const SESSION_SECONDS: number = 12 * 60 * 60;

export class Sessions {
  readonly #tokens: readonly AccessToken[];
  readonly #signatures: Signatures;
  readonly #clock: Clock;

  constructor(tokens: readonly AccessToken[], signatures: Signatures, clock: Clock) {
    this.#tokens = tokens;
    this.#signatures = signatures;
    this.#clock = clock;
  }

  /** A new session; undefined: nobody has this token. */
  begin(token: string): string | undefined {
    // Each is looked at, so that the time tells nothing.
    const matching = this.#tokens.map((one) => isSame(one.token, token));
    const at = matching.indexOf(true);
    if (at < 0) return undefined;
    const endsAtMs = Math.floor(this.#clock.wallMs()) + SESSION_SECONDS * 1_000;
    return `${at}.${endsAtMs}.${this.#sign(at, endsAtMs)}`;
  }

  /** Whose session it is; undefined: it is over, or was never begun here. */
  visitor(session: string): Visitor | undefined {
    const [, place, end, signature] = /^(\d{1,4})\.(\d{1,16})\.([\w-]{20,80})$/.exec(session) ?? [];
    const at = Number(place);
    const endsAtMs = Number(end);
    const token = this.#tokens[at];
    if (token === undefined || signature === undefined) return undefined;
    if (!isSame(signature, this.#sign(at, endsAtMs))) return undefined;
    return endsAtMs > this.#clock.wallMs() ? token : undefined;
  }

  /** Without a session, as programs do. */
  bearer(header: string | undefined): Visitor | undefined {
    const [, given] = /^Bearer ([^\s]{1,512})$/.exec(header ?? '') ?? [];
    if (given === undefined) return undefined;
    return this.#tokens.filter(({ token }) => isSame(token, given))[0];
  }

  #sign(at: number, endsAtMs: number): string {
    return this.#signatures.sign(`session of ${this.#tokens[at]?.token}`, `${at}.${endsAtMs}`);
  }
}
