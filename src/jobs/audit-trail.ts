/**
 * Who did what to the lanes of a queue, when, and what came of it. An operator's act is noted before it is carried out,
 * and its end afterwards: an act without a note does not happen, and of one without an end it is not known what came
 * of it (the process died, or Redis did not answer).
 */
import { messageOf, TorilError } from '../errors.ts';

export interface Act {
  /** As the one who let them in names them. */
  readonly who: string;
  /** `drop`, `trust-cell`, ... */
  readonly what: string;
  /** Empty: it is about the whole queue. */
  readonly key: string;
  /** Empty: it is not about one job. */
  readonly jobId: string;
  /** All keys that it is about, if there are several. */
  readonly keys?: readonly string[];
}

export type ActEnd =
  | { readonly kind: 'done'; readonly result: string }
  | { readonly kind: 'refused'; readonly code: string; readonly result: string };

export interface AuditedAct extends Act {
  /** Names the act; later ones are greater. */
  readonly id: string;
  /** Milliseconds since 1970, by Redis's clock. */
  readonly atMs: number;
  /** Undefined: it is under way, or nobody knows what came of it. */
  readonly end: ActEnd | undefined;
}

export interface AuditRequest {
  /** Of acts on this key only; undefined: all. */
  readonly key?: string | undefined;
  /** Only acts before this one. */
  readonly before?: string | undefined;
  /** 1 to 200; default 50. */
  readonly limit?: number;
}

export interface AuditPage {
  /** Newest first. */
  readonly acts: readonly AuditedAct[];
  /** For the next request; undefined: there are no more. */
  readonly before: string | undefined;
}

export interface AuditTrail {
  /** Returns the act's id. @throws TorilError REDIS_FAILED: it is not noted, so it must not be carried out */
  begin(act: Act): Promise<string>;
  /** @throws TorilError REDIS_FAILED */
  end(id: string, end: ActEnd): Promise<void>;
  /** @throws TorilError REDIS_FAILED */
  read(request?: AuditRequest): Promise<AuditPage>;
}

/**
 * Carries out an act with a record of it, and says what came of it.
 * @throws TorilError REDIS_FAILED: it could not be noted, so it was not carried out
 */
export async function audited(
  trail: AuditTrail,
  act: Act,
  carryOut: () => Promise<string>,
): Promise<{ readonly id: string; readonly end: ActEnd }> {
  const id = await trail.begin(act);
  const end = await endOf(carryOut);
  // It is done or refused, whether or not that can be noted.
  await trail.end(id, end).catch(() => undefined);
  return { id, end };
}

async function endOf(carryOut: () => Promise<string>): Promise<ActEnd> {
  try {
    return { kind: 'done', result: await carryOut() };
  } catch (thrown) {
    const code = thrown instanceof TorilError ? thrown.code : 'INTERNAL';
    return { kind: 'refused', code, result: messageOf(thrown) };
  }
}
