/** Guards of the lease, and of the strict path that is built on it. */
import { SIMULATED, type Twin } from './twin.ts';

export const LEASE_TWINS: readonly Twin[] = [
  {
    name: 'release-without-cas',
    guard: 'the CAS on the release',
    hunt: SIMULATED,
    edits: [
      {
        file: 'test/simulation/memcached-wire.ts',
        find: 'this.#options.store.delete(name, cas)',
        replace: 'this.#options.store.delete(name, this.#options.store.peek(name)?.cas ?? cas)',
      },
    ],
  },
  {
    name: 'trust-from-reply',
    guard: 'trust is counted from the sending, not from the reply',
    hunt: { by: 'search', flags: '--path lease --clocks step --expiries 1' },
    edits: [
      {
        file: 'src/lock/held-lease.ts',
        find: '    this.#trustEndMs = trustEndMs(claim.sentMs, claim.durationMs);',
        replace: '    this.#trustEndMs = trustEndMs(home.clock.monotonicMs(), claim.durationMs);',
      },
      {
        file: 'src/lock/held-lease.ts',
        find: '      this.#trustEndMs = trustEndMs(sentMs, this.durationMs);',
        replace:
          '      this.#trustEndMs = trustEndMs(this.#home.clock.monotonicMs(), this.durationMs);',
      },
      {
        file: 'src/lock/lease-locks.ts',
        find: '    if (this.#clock.monotonicMs() >= trustEndMs(claim.sentMs, claim.durationMs)) {',
        replace: '    if (trustEndMs(claim.sentMs, claim.durationMs) < 0) {',
      },
    ],
  },
  {
    name: 'trust-without-end',
    guard: 'the end of trust',
    hunt: {
      by: 'test',
      file: 'test/unit/lock/losing.test.ts',
      why: 'the CAS and the look at the lock stop such a holder, too, only later',
    },
    edits: [
      {
        file: 'src/lock/held-lease.ts',
        find: '    if (leftMs > 0 && this.connection.alive) return leftMs;',
        replace: '    if (this.connection.alive) return Math.max(1, leftMs);',
      },
      {
        file: 'src/lock/held-lease.ts',
        find: '    else if (nowMs >= this.#trustEndMs) this.#expire();\n',
        replace:
          '    else if (nowMs >= this.#trustEndMs) this.wakeMs = this.#trustEndMs += this.durationMs;\n',
      },
    ],
  },
  {
    name: 'takeover-without-margin',
    guard: "the takeover's margin",
    hunt: {
      by: 'test',
      file: 'test/unit/lock/taking-over.test.ts',
      why: "the search's clocks run in step or apart, none a little faster; in the simulation a strict update would have to run just then",
    },
    edits: [
      {
        file: 'src/lock/lease.ts',
        find: '  return firstSeenMs + holderDurationMs + takeoverMarginMs(holderDurationMs);',
        replace: '  return firstSeenMs + holderDurationMs;',
      },
    ],
  },
  {
    name: 'takeover-of-any-version',
    guard: 'a takeover waits until the same version was seen for a whole lease',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/lock/lock-observations.ts',
        find: '    const same = last !== undefined && last.cas === cas && last.owner === owner;',
        replace: '    const same = last !== undefined;',
      },
    ],
  },
  {
    name: 'lock-not-looked-at',
    guard: 'a strict batch looks whether the lock is still its own',
    hunt: { by: 'search', flags: '--path lease --expiries 1' },
    edits: [
      {
        file: 'src/lock/held-lease.ts',
        find: "    if (outcome.kind === 'done' && isStanding(lock, outcome.value)) {",
        replace: "    if (outcome.kind === 'done' && lock.item !== undefined) {",
      },
    ],
  },
  {
    name: 'strict-without-guard',
    guard: 'the whole second round trip of strict updates',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/turn/turn.ts',
        find: '  if (found.isStrict && !(await closeToOlderHolders(turn))) return turn.lost();\n',
        replace: '',
      },
    ],
  },
  {
    name: 'strict-once-per-lease',
    guard: 'the strict step for each batch, not once per lease',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/turn/turn.ts',
        find: '  if (found.isStrict && !(await closeToOlderHolders(turn))) return turn.lost();\n',
        replace: `  if (found.isStrict && !confirmed.has(turn)) {
    if (!(await closeToOlderHolders(turn))) return turn.lost();
    confirmed.add(turn);
  }
`,
      },
      {
        file: 'src/workers/turn/turn.ts',
        find: '/** @param cell what was read',
        replace: 'const confirmed = new WeakSet<Turn>();\n\n/** @param cell what was read',
      },
    ],
  },
  {
    name: 'strict-without-bump',
    guard: "closing the cell to older holders' writes with a new CAS",
    hunt: SIMULATED,
    edits: [
      {
        file: 'test/simulation/memcached-wire.ts',
        find: '() => this.#options.store.bump(name, cas));',
        replace: `() => {
      const now = this.#options.store.get(name);
      if (now.kind !== 'done') return now;
      return now.value.cas === cas ? { kind: 'done', value: cas } : { kind: 'refused', reason: 'exists' };
    });`,
      },
      {
        // With the old CAS the look behind it would find no mark, and the lane would stand for another reason.
        file: 'test/simulation/memcached-wire.ts',
        find: "    if (protocol === 'binary') return bumped;\n",
        replace: '    if (protocol.length > 0) return bumped;\n',
      },
    ],
  },
  {
    name: 'claim-before-check',
    guard:
      'the order of the strict step: first the cell gets a new CAS, then the lock is looked at',
    hunt: { by: 'search', flags: '--path lease --clocks step --expiries 1' },
    edits: [
      {
        file: 'src/lock/strict/strict-cell.ts',
        find: '    const closing =\n',
        replace: '    const ours = await lease.confirm();\n    const closing =\n',
      },
      {
        file: 'src/lock/strict/strict-cell.ts',
        find: '    const [closed, ours] = await Promise.all([closing, lease.confirm()]);\n',
        replace: '    const closed = await closing;\n',
      },
    ],
  },
  {
    name: 'strict-on-unread-cell',
    guard: 'a strict batch is lost if the cell has changed since it was read',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/turn/closing-the-cell.ts',
        find: "  if (guarding.kind === 'lost' || guarding.item?.cas !== cell.cas) return false;",
        replace: "  if (guarding.kind === 'lost') return false;",
      },
    ],
  },
  {
    name: 'connection-of-any-epoch',
    guard: 'a lease is bound to its connection: nothing of it goes out on the next one',
    hunt: SIMULATED,
    edits: [
      {
        file: 'test/simulation/memcached-client.ts',
        find: '    return this.#wire?.alive === true ? this.#wire : undefined;',
        replace: '    return this.#wire?.alive === true ? this.#immortal : undefined;',
      },
      {
        file: 'test/simulation/memcached-client.ts',
        find: '      resolve(wire);',
        replace: '      resolve(this.#immortal);',
      },
      {
        file: 'test/simulation/memcached-client.ts',
        find: '  constructor(options: ClientOptions) {',
        replace: `  /** As memjs and pooling proxies do it: it never ends, and a request goes out wherever it can. */
  readonly #immortal: Connection = (() => {
    const send = async <T>(request: (wire: Wire) => Promise<T>): Promise<T> => {
      try {
        if (this.#wire?.alive !== true) await this.connection();
        return await request(this.#wire as Wire);
      } catch (cause) {
        return { kind: 'unknown', cause } as T;
      }
    };
    return {
      epoch: 1,
      casByUs: false,
      alive: true,
      ended: new Promise<void>(() => {}),
      get: (name) => send((wire) => wire.get(name)),
      add: (name, item) => send((wire) => wire.add(name, item)),
      replace: (name, item, cas) => send((wire) => wire.replace(name, item, cas)),
      delete: (name, cas) => send((wire) => wire.delete(name, cas)),
      bump: (name, cas) => send((wire) => wire.bump(name, cas)),
      getAndTouch: (name, seconds) => send((wire) => wire.getAndTouch(name, seconds)),
      destroy: () => {},
    };
  })();

  constructor(options: ClientOptions) {`,
      },
    ],
  },
  {
    name: 'own-commit-of-any-connection',
    guard: 'the CAS of the own last commit counts on the connection on which it was told',
    hunt: { by: 'search', flags: '--path lease --commits 2 --restarts 1' },
    edits: [
      {
        file: 'src/lock/own-commits.ts',
        find: '    if (last === undefined || !last.isTried || last.connection !== connection) return undefined;',
        replace: '    if (last === undefined || !last.isTried) return undefined;',
      },
    ],
  },
  {
    name: 'closed-by-wish',
    guard: 'the acquisition has closed the cell only if the own last commit was still there',
    hunt: { by: 'search', flags: '--path lease --commits 2' },
    edits: [
      {
        file: 'src/lock/strict/strict-cell.ts',
        find: "  if (read.kind !== 'done' || closed?.kind !== 'done') return undefined;\n",
        replace: "  if (read.kind !== 'done' || closed === undefined) return undefined;\n",
      },
      {
        file: 'src/lock/strict/strict-cell.ts',
        find: "  return { kind: 'guarded', item: read.value, cas: closed.value };\n}\n\n/** `firstRead`",
        replace:
          "  const cas = closed.kind === 'done' ? closed.value : read.value.cas;\n  return { kind: 'guarded', item: read.value, cas };\n}\n\n/** `firstRead`",
      },
    ],
  },
  {
    name: 'closed-too-late',
    guard:
      'the lease is still trusted when the answer comes that the acquisition has closed the cell',
    hunt: {
      by: 'test',
      file: 'test/unit/lock/own-commits.test.ts',
      why: "the lock's own simulation shows it at seed 823, and runs 150 in each test run",
    },
    edits: [
      {
        file: 'src/lock/strict/strict-cell.ts',
        find: "  if (lease.trustLeftMs() === 0) return { kind: 'lost' };\n",
        replace: '',
      },
    ],
  },
  {
    name: 'early-token-kept',
    guard: 'a token drawn before the lease is used only if the acquisition has closed the cell',
    hunt: { by: 'search', flags: '--path lease --commits 2' },
    edits: [
      {
        file: 'src/lock/strict/with-lease.ts',
        find: 'closed === undefined ? await this.#draw(leaseMs, budget) : early;',
        replace: 'early ?? (await this.#draw(leaseMs, budget));',
      },
    ],
  },
  {
    name: 'closed-before-the-lock',
    guard: 'in the acquiring write, the cell is closed behind the lock',
    hunt: { by: 'search', flags: '--path lease --commits 2 --clocks step' },
    edits: [
      {
        file: 'src/lock/acquirer.ts',
        find: 'return () => void (closing = connection.bump(cell, cas));',
        replace: 'closing = connection.bump(cell, cas);',
      },
    ],
  },
  {
    name: 'own-commit-from-a-read',
    guard: "only a CAS from one's own commit is tried, none that was read",
    hunt: { by: 'search', flags: '--path lease --commits 2' },
    edits: [
      {
        file: 'src/lock/acquirer.ts',
        find: '        read = connection.get(cell);\n',
        replace: `        read = connection.get(cell);
        void read.then((item) => {
          if (item.kind === 'done') this.#commits?.note(cell, connection, item.value.cas);
        });
`,
      },
      {
        file: 'src/lock/own-commits.ts',
        find: '    const isTried = this.#last.get(cellName)?.isTried ?? true;\n',
        replace: '    const isTried = true;\n',
      },
    ],
  },
];
