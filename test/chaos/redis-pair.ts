/**
 * Redis, and behind it a replica that may take its place: then whatever the primary had acknowledged and not
 * passed on is lost. The replica follows through a proxy, which can be held up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type PrivateServer, startRedis } from '../../scripts/servers.ts';
import { nowUs } from './history.ts';
import { Proxy } from './proxy.ts';
import { prepareRefusals } from './refusals.ts';
import { tell } from './text-client.ts';

const HOST = '127.0.0.1';
const ANSWER = /\r\n$/;
const SYNC_MAX_MS = 5_000;
const POLL_MS = 20;
/** What is under way between the two when it is held up: lost as well. */
const UNDER_WAY_MS = 1_000;
// What it has acknowledged is on disk: P4 asks for no less.
// A snapshot never goes to the disk, where refusals.ts has put something in its way.
const REPLICATION = ['--repl-diskless-sync-delay', '0', '--repl-diskless-load', 'swapdb'];
const FLAGS = ['--appendonly', 'yes', '--appendfsync', 'always', ...REPLICATION];

export class RedisPair {
  #primary: PrivateServer;
  #replica: PrivateServer;
  readonly #link: Proxy;

  private constructor(primary: PrivateServer, replica: PrivateServer, link: Proxy) {
    this.#primary = primary;
    this.#replica = replica;
    this.#link = link;
  }

  static async open(): Promise<RedisPair> {
    const [primary, replica] = await Promise.all([
      startRedis({ flags: FLAGS }),
      startRedis({ flags: FLAGS }),
    ]);
    const pair = new RedisPair(primary, replica, await Proxy.open(HOST, primary.port));
    await Promise.all([primary, replica].map(({ port }) => prepareRefusals(port)));
    await pair.#follow();
    return pair;
  }

  get primary(): PrivateServer {
    return this.#primary;
  }

  /**
   * Passes nothing on for a while, then lets the replica take the place of the primary, which becomes a replica in
   * its turn; unless the replica is not there yet.
   * @param promoted called as soon as it is the primary, with the time after which what was acknowledged may be lost
   */
  async promote(heldMs: number, promoted: (fromUs: number) => void): Promise<void> {
    if (!(await this.#isInStep())) return;
    const fromUs = nowUs() - UNDER_WAY_MS * 1_000;
    this.#link.silence(undefined, 'both', SYNC_MAX_MS * 10, false);
    await sleep(heldMs);
    await this.#primary.kill();
    await tell(this.#replica.port, 'REPLICAOF NO ONE', ANSWER);
    [this.#primary, this.#replica] = [this.#replica, this.#primary];
    promoted(fromUs);
    await this.#replica.start();
    this.#link.redirect(this.#primary.port);
    this.#link.heal();
    this.#link.cut(undefined);
    await this.#follow();
  }

  async stop(): Promise<void> {
    await this.#link.close();
    await Promise.all([this.#primary.stop(), this.#replica.stop()]);
  }

  #follow(): Promise<string> {
    return tell(this.#replica.port, `REPLICAOF ${HOST} ${this.#link.port}`, ANSWER);
  }

  async #isInStep(): Promise<boolean> {
    for (let waitedMs = 0; waitedMs < SYNC_MAX_MS; waitedMs += POLL_MS) {
      const told = await tell(this.#replica.port, 'INFO replication', /\r\n\r\n$/);
      if (told.includes('master_link_status:up')) return true;
      await sleep(POLL_MS);
    }
    return false;
  }
}
