/**
 * Calls that add something, each carried out once. A client sends an unanswered call again when it has a new
 * connection, and cannot know whether the first copy was carried out. So each call has a number, by which the
 * script (../state/add.ts) knows it again, and a last moment by Redis' clock, after which no copy of it does
 * anything. Then a call may be repeated until its answer is there.
 *
 *   answered  the script's reply; or Redis refused it, and nothing has happened
 *   unknown   no answer within its time: it was carried out once or never, and will not be any more
 */
import { type Clock, pause } from '../../../base/clock.ts';
import type { Random } from '../../../base/random.ts';
import { messageOf, TorilError } from '../../../errors.ts';

/** Milliseconds between two tries; the connection itself is awaited by the client. */
const PAUSE_MS = { first: 20, longest: 1_000 };
/**
 * A copy is valid for so much less than its call is awaited, in milliseconds or as a part of its time: nothing may
 * be added after the caller has heard that nothing will be. Redis takes no copy whose last moment says that the two
 * clocks are further apart than this.
 */
const SLACK_MS = 1_000;
const SLACK_PART = 0.1;
/** What Redis answers for moments only, before it has looked at the call. */
const MOMENTARY = /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b/;
/** An answer of Redis, whatever the driver makes of it: errors of connections do not begin with a code. */
const ANSWER = /^[A-Z][A-Z0-9]+ /;
/** ioredis says so of a command that it has not sent, and will not: its user wants to know at once. */
const NOT_SENT = /enableOfflineQueue/;

export interface ProducerSite {
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds for which a call is tried. */
  readonly withinMs: number;
  /** Resolves once the client can send: until then nothing has happened. */
  readonly ready: () => Promise<unknown>;
  readonly run: (producerId: string, args: readonly unknown[]) => Promise<unknown>;
  /** The client has been closed, and answers nothing any more. */
  readonly isClosed: () => boolean;
  /** Aborts when nobody waits any longer: the queue closes, and its time for that is over. */
  readonly abandoned?: AbortSignal;
}

export class Producer {
  readonly #site: ProducerSite;
  readonly #id: string;
  #number = 0;
  /** The last call and those before it, until all have their answers. */
  #underWay: Promise<unknown> | undefined;
  /** How far Redis' clock is ahead of this machine's, as far as is known. */
  #aheadMs = 0;

  constructor(site: ProducerSite) {
    this.#site = site;
    this.#id = site.random.id() + site.random.id();
  }

  /**
   * Resolves with the script's answer. In the order of the calls, also where one has to be repeated.
   * @param startedMs monotonic milliseconds from which its time counts
   * @throws TorilError REDIS_FAILED: nothing has happened; OUTCOME_UNKNOWN
   */
  call(startedMs: number, args: readonly unknown[]): Promise<string> {
    const before = this.#underWay;
    const call = new Call(this.#site, startedMs, before);
    const number = ++this.#number;
    const answer = call.carryOut(
      (mustFollow, validMs) => {
        const { clock, run } = this.#site;
        const lastMs = Math.floor(clock.wallMs() + this.#aheadMs + validMs);
        const longestMs = Math.ceil(validMs + slackOf(this.#site));
        const head = [number, mustFollow ? number - 1 : 0, lastMs, longestMs];
        return run(this.#id, [...head, ...args]);
      },
      (redisMs) => {
        this.#aheadMs = redisMs - this.#site.clock.wallMs();
      },
    );
    const underWay = Promise.allSettled([answer, before]).then(() => {
      if (this.#underWay === underWay) this.#underWay = undefined;
    });
    this.#underWay = underWay;
    return answer;
  }
}

function slackOf({ withinMs }: ProducerSite): number {
  return Math.min(SLACK_MS, withinMs * SLACK_PART);
}

/** Sends a copy. `validMs`: how long it may take to arrive. */
type Send = (mustFollow: boolean, validMs: number) => Promise<unknown>;

const LATE = Symbol('late');

class Call {
  readonly #site: ProducerSite;
  readonly #endMs: number;
  #before: Promise<unknown> | undefined;
  #copies = 0;

  constructor(site: ProducerSite, startedMs: number, before: Promise<unknown> | undefined) {
    this.#site = site;
    this.#endMs = startedMs + site.withinMs;
    this.#before = before;
  }

  async carryOut(send: Send, setClock: (redisMs: number) => void): Promise<string> {
    let cause: unknown;
    for (;;) {
      const leftMs = this.#endMs - this.#site.clock.monotonicMs();
      if (this.#validMs() <= 0) throw this.#gaveUp(cause);
      const answer = await this.#inTime(this.#send(send), leftMs).catch((thrown: unknown) => {
        cause = thrown;
        return undefined;
      });
      if (answer === LATE) throw this.#gaveUp(cause);
      if (answer === undefined) await this.#afterFailure(cause);
      else if (answer === 'early') await this.#inTime(this.#predecessor(), leftMs);
      else if (answer === 'old') throw this.#gaveUp(cause);
      else if (answer.startsWith('time ')) setClock(Number(answer.slice('time '.length)));
      else return answer;
    }
  }

  /** Milliseconds for which a copy that is sent now may be carried out. */
  #validMs(): number {
    return this.#endMs - this.#site.clock.monotonicMs() - slackOf(this.#site);
  }

  async #send(send: Send): Promise<string> {
    await this.#site.ready();
    const validMs = this.#validMs();
    // The client was slow: the caller has heard by now, or is about to, that nothing is added.
    if (validMs <= 0) throw new Error('the connection was ready too late');
    this.#copies += 1;
    const answer = await send(this.#before !== undefined, validMs);
    // A client that is being closed answers so.
    if (typeof answer !== 'string') throw new Error('the connection is closed');
    return answer;
  }

  /** The call before this one is over; whatever has become of it, this one need not wait for it any more. */
  async #predecessor(): Promise<void> {
    await this.#before;
    this.#before = undefined;
  }

  /** Waits until it may be tried again. */
  async #afterFailure(cause: unknown): Promise<void> {
    const { clock, random, isClosed } = this.#site;
    const message = messageOf(cause);
    const isRefused = (ANSWER.test(message) && !MOMENTARY.test(message)) || NOT_SENT.test(message);
    // An earlier copy may still be on its way, so only the first one's refusal is the last word.
    if (isRefused && this.#copies === 1) throw refused(cause);
    if (isClosed()) throw this.#gaveUp(cause);
    const longest = Math.min(PAUSE_MS.first * 2 ** this.#copies, PAUSE_MS.longest);
    await pause(clock, longest * (0.5 + random.fraction() / 2));
  }

  async #inTime<T>(answer: Promise<T>, leftMs: number): Promise<T | typeof LATE> {
    const { clock, abandoned } = this.#site;
    let timer: { cancel(): void } | undefined;
    let giveUp = (): void => undefined;
    const late = new Promise<typeof LATE>((resolve) => {
      giveUp = () => resolve(LATE);
      timer = clock.after(leftMs, giveUp, { keepAlive: true });
      abandoned?.addEventListener('abort', giveUp);
      if (abandoned?.aborted === true) giveUp();
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      timer?.cancel();
      abandoned?.removeEventListener('abort', giveUp);
    }
  }

  #gaveUp(cause: unknown): TorilError {
    const { withinMs } = this.#site;
    return this.#copies === 0 ? notAsked(withinMs, cause) : unknown(withinMs, cause);
  }
}

export function notAsked(withinMs: number, cause: unknown): TorilError {
  return new TorilError(
    'REDIS_FAILED',
    `Redis could not be asked to add jobs within ${withinMs} ms${because(cause)}. Nothing was added.`,
    { cause },
  );
}

function unknown(withinMs: number, cause: unknown): TorilError {
  return new TorilError(
    'OUTCOME_UNKNOWN',
    `Redis was asked to add jobs, and did not answer within ${withinMs} ms${because(cause)}. They were added once, or not at all, and will not be added any more. Look whether they are there before you add them again, or give them job ids: one that exists is not added twice.`,
    { cause },
  );
}

function refused(cause: unknown): TorilError {
  return new TorilError(
    'REDIS_FAILED',
    `Redis refused to add jobs, and nothing was added: ${messageOf(cause)}`,
    { cause },
  );
}

function because(cause: unknown): string {
  return cause === undefined ? '' : ` (${messageOf(cause)})`;
}
