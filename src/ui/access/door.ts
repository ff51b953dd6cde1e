/**
 * Who comes in, and what they may do. Closed unless somebody says otherwise: a session or a bearer token of the page's
 * own, or the host's `authorize`.
 */
import type { Clock } from '../../base/clock.ts';
import { type Context, getCookie } from '../web.ts';
import type { May, PageOptions, Visitor } from '../options.ts';
import { SESSION_COOKIE, Sessions } from './sessions.ts';
import { Signatures } from './signatures.ts';

const WHO_MAX = 200;

export class Door {
  readonly #authorize: PageOptions['authorize'];
  readonly #signatures: Signatures;
  /** Undefined: the host lets people in. */
  readonly sessions: Sessions | undefined;

  constructor({ tokens, authorize, secret }: PageOptions, clock: Clock) {
    this.#signatures = new Signatures(secret);
    this.#authorize = authorize;
    this.sessions = tokens && new Sessions(tokens, this.#signatures, clock);
  }

  /** Undefined: nobody who may come in. Throws what `authorize` throws. */
  async visitor(context: Context): Promise<Visitor | undefined> {
    if (this.sessions !== undefined) {
      const session = getCookie(context, SESSION_COOKIE);
      return (
        (session === undefined ? undefined : this.sessions.visitor(session)) ??
        this.sessions.bearer(context.req.header('authorization'))
      );
    }
    return checkedVisitor(await this.#authorize?.(context.req.raw));
  }

  /** What a form carries, so that only a page that was shown to this visitor can send it. */
  formToken({ who }: Visitor): string {
    return this.#signatures.sign('form', who);
  }

  isFormOf({ who }: Visitor, token: unknown): boolean {
    return typeof token === 'string' && this.#signatures.isOf(token, 'form', who);
  }
}

/** Whatever else the host's code returned, nobody is let in by mistake. */
function checkedVisitor(given: unknown): Visitor | undefined {
  if (typeof given !== 'object' || given === null) return undefined;
  const { who, may } = given as { who?: unknown; may?: unknown };
  if (typeof who !== 'string' || who === '' || !isMay(may)) return undefined;
  return { who: who.slice(0, WHO_MAX), may };
}

function isMay(given: unknown): given is May {
  return given === 'read' || given === 'write';
}
