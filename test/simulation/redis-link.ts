/**
 * One process's connection to Redis. As ioredis under BullMQ it never gives a command up by itself:
 * after a disconnect, whatever has no reply yet is sent again, so a script may run twice, with
 * scripts of others in between. A call may also fail although it was executed, and
 * Redis may refuse it.
 */
import { redisFailed } from '../../src/errors.ts';
import type { Travel } from '../../src/jobs/memory/memory-lanes.ts';
import type { Network } from './network.ts';
import type { ProcessClock } from './process-clock.ts';

interface Command {
  readonly execute: () => unknown;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (cause: Error) => void;
}

export interface Disconnect {
  /** Milliseconds until the connection is there again. */
  readonly downMs: number;
  /** `resend`: what has no reply is sent again; `fail`: it fails, executed or not. */
  readonly pending: 'resend' | 'fail';
  /** What was under way: is lost, or arrives so many milliseconds late. */
  readonly underWay: 'lost' | { readonly lateMs: number };
}

export class RedisLink {
  readonly #network: Network;
  readonly #clock: ProcessClock;
  readonly #isRefusing: () => boolean;
  readonly #pending = new Set<Command>();
  /** Counts connections; replies of an older one do not arrive. */
  #epoch = 0;
  #up = true;
  #wasRefused = false;
  #upFreeMs = 0;
  #downFreeMs = 0;
  #underWay: Disconnect['underWay'] = 'lost';

  /** @param isRefusing whether Redis carries nothing out at the moment, and says so */
  constructor(network: Network, clock: ProcessClock, isRefusing: () => boolean) {
    this.#network = network;
    this.#clock = clock;
    this.#isRefusing = isRefusing;
  }

  readonly call: Travel = <Reply>(execute: () => Reply): Promise<Reply> =>
    new Promise<Reply>((resolve, reject) => {
      const command: Command = { execute, resolve: resolve as Command['resolve'], reject };
      this.#pending.add(command);
      if (this.#up) this.#send(command);
    });

  /** It was interrupted, or a call was refused: something may have been done of which nobody was told. */
  get hasLostAnswers(): boolean {
    return this.#epoch > 0 || this.#wasRefused;
  }

  disconnect({ downMs, pending, underWay }: Disconnect): void {
    if (!this.#up) return;
    this.#up = false;
    this.#epoch++;
    this.#underWay = underWay;
    if (pending === 'fail') {
      for (const command of this.#pending) this.#fail(command);
      this.#pending.clear();
    }
    this.#network.after(downMs, () => this.#reconnect());
  }

  /** The process is gone; what it has sent may arrive. */
  abandon(underWay: Disconnect['underWay']): void {
    this.#up = false;
    this.#epoch++;
    this.#underWay = underWay;
    this.#pending.clear();
  }

  /** Commands from now on take so much longer. */
  hold(ms: number): void {
    this.#upFreeMs = Math.max(this.#upFreeMs, this.#network.nowMs + ms);
  }

  #reconnect(): void {
    this.#up = true;
    for (const command of this.#pending) this.#send(command);
  }

  #send(command: Command): void {
    const epoch = this.#epoch;
    this.#upFreeMs = Math.max(this.#upFreeMs, this.#network.nowMs + this.#network.latencyMs());
    this.#network.after(this.#upFreeMs - this.#network.nowMs, () => this.#arrive(command, epoch));
  }

  #arrive(command: Command, epoch: number): void {
    if (epoch !== this.#epoch) {
      const late = this.#underWay;
      if (late !== 'lost') this.#network.after(late.lateMs, () => void this.#execute(command));
      return;
    }
    const done = this.#execute(command);
    this.#downFreeMs = Math.max(this.#downFreeMs, this.#network.nowMs + this.#network.latencyMs());
    this.#network.after(this.#downFreeMs - this.#network.nowMs, () => {
      if (epoch === this.#epoch) this.#clock.run('arrival', () => this.#answer(command, done));
    });
  }

  #execute(command: Command): Done {
    this.#wasRefused ||= this.#isRefusing();
    return this.#isRefusing() ? { thrown: redisFailed(REFUSAL) } : execute(command);
  }

  #answer(command: Command, done: Done): void {
    if (!this.#pending.delete(command)) return;
    if ('reply' in done) command.resolve(done.reply);
    else command.reject(done.thrown);
  }

  #fail(command: Command): void {
    this.#clock.run('arrival', () =>
      command.reject(redisFailed(new Error('Connection is closed.'))),
    );
  }
}

const REFUSAL = new Error('NOREPLICAS Not enough good replicas to write.');

type Done = { readonly reply: unknown } | { readonly thrown: Error };

/** A script's error is a reply, too. */
function execute(command: Command): Done {
  try {
    return { reply: command.execute() };
  } catch (thrown) {
    return { thrown: thrown as Error };
  }
}
