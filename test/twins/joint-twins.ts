/** Guards of jobs of several keys: one order in all lanes, one decision for all keys, cells that follow it. */
import type { Hunt, Twin } from './twin.ts';

/** By the simulation with jobs of several keys, from the first seed on. */
const WITH_TRANSACTIONS = {
  by: 'simulation',
  from: 0,
  seeds: 20_000,
  transactions: true,
} as const satisfies Hunt;

const CONFORMANCE = 'test/conformance/lanes.test.ts';
const CELLS = 'test/unit/workers/joint-cells.test.ts';
const FAILING = 'test/unit/workers/failing-transactions.test.ts';
const SLOWER = 'without it everything drains, only later';
const IN_MEMORY = 'the simulation has no Redis, but the engine in memory';

export const JOINT_TWINS: readonly Twin[] = [
  {
    name: 'joint-key-by-key',
    guard: 'a joint commit is acknowledged for all its keys in one step',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/workers/joint/drive.ts',
        find: '  const { accepted, onward } = await context.lanes.acknowledgeJoint(',
        replace: '  const { accepted, onward } = await keyByKey(context.lanes, ',
      },
      {
        file: 'src/workers/joint/drive.ts',
        find: 'async function drive(\n',
        replace: `async function keyByKey(
  lanes: Turn['context']['lanes'],
  whole: JointCommit,
): Promise<{ readonly accepted: boolean; readonly onward?: undefined }> {
  let accepted = true;
  for (const key of whole.keys) {
    const answer = await lanes.acknowledgeJoint({ ...whole, keys: [key] });
    accepted = accepted && answer.accepted;
  }
  return { accepted };
}

async function drive(
`,
      },
    ],
  },
  {
    name: 'joint-any-head',
    guard: 'exactly the jobs of a joint commit are at the heads of its lanes',
    hunt: { ...WITH_TRANSACTIONS, from: 1_000 }, // before, none of 1,000 seeds shows it
    edits: [
      {
        file: 'src/jobs/memory/memory-joint.ts',
        find: '    if (!keys.every((key) => this.#isHead(key))) return { accepted: false };\n',
        replace: '',
      },
    ],
  },
  {
    name: 'joint-entered-apart',
    guard: 'a joint job enters all its lanes with its add',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/jobs/memory/memory-joint.ts',
        find: '    for (const key of keys) lanes.enter(key, job.id, sequence);\n',
        replace: `    keys.forEach((key, at) => {
      if (at === 0) lanes.enter(key, job.id, sequence);
      else lanes.later(() => lanes.enter(key, job.id));
    });
`,
      },
      {
        file: 'src/jobs/memory/lane-orders.ts',
        find: '  nowMicros(): number {\n',
        replace: `  later(call: () => void): void {
    this.#clock.after(this.#lastDrawn % 5, call);
  }

  nowMicros(): number {
`,
      },
    ],
  },
  {
    name: 'joint-reentered-apart',
    guard: 'a joint job that enters its lanes when it is delivered enters all of them in one step',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/jobs/memory/memory-joint.ts',
        find: '    this.enterAll(job, job.keys ?? keys);\n',
        replace: `    const [first, ...others] = job.keys ?? keys;
    job.entered = { key: first as string, sequence: this.#parts.lanes.enter(first as string, jobId) };
    job.keys ??= keys;
    for (const key of others) this.#parts.lanes.later(() => this.#parts.lanes.enter(key, jobId));
`,
      },
      {
        file: 'src/jobs/memory/lane-orders.ts',
        find: '  nowMicros(): number {\n',
        replace: `  later(call: () => void): void {
    this.#clock.after(this.#lastDrawn % 5, call);
  }

  nowMicros(): number {
`,
      },
    ],
  },
  {
    name: 'joint-ready-or-not',
    guard: 'a joint job is driven once it is the next one in all its lanes',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/jobs/memory/memory-run.ts',
        find: '      if (firstId === jobId) continue;\n',
        replace: '      if (firstId !== undefined) continue;\n',
      },
      {
        file: 'src/jobs/memory/memory-joint.ts',
        find: '    if (!keys.every((key) => this.#isHead(key))) return { accepted: false };\n',
        replace: '',
      },
    ],
  },
  {
    name: 'joint-in-one-lane',
    guard: 'a batch of one key ends before a job of several',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    if (entry.keys !== undefined && this.#turn.isJoint !== true) return JOINT;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'joint-believes-any-cell',
    guard: 'a key of a transaction whose cell is stale starts from its copy',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/workers/joint/run-keys.ts',
        find: "    case 'restore': {\n",
        replace: `    case 'restore': {
      if (content.kind === 'envelope' && content.envelope.value !== undefined)
        return found([content.envelope.value], 'base', 0);
`,
      },
    ],
  },
  {
    name: 'joint-never-behind',
    guard: 'a joint commit is behind until its cells are written',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/jobs/memory/memory-joint.ts',
        find: '    this.#behind.set(\n',
        replace: '    new Map<number, readonly string[]>().set(\n',
      },
    ],
  },
  {
    name: 'joint-never-swept',
    guard: 'the look for joint commits that are behind, and of which nobody waits for an outcome',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/workers/gate/gate.ts',
        find: '    if (context.registry.hasTransactions) this.behind.begin();\n',
        replace: '',
      },
    ],
  },
  {
    name: 'joint-completes-early',
    guard: 'nobody is told the outcome of a transaction before its cells are written',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/workers/deliveries/intake.ts',
        find: `    if (ending.kind === 'decided' && ending.outcome.joint !== undefined)
      ending = await this.#onceSettled(ending, ending.outcome.joint);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'joint-writes-for-sure',
    guard: 'a cell of a joint commit whose write was refused, or has no answer, stays behind',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/workers/joint/write-cells.ts',
        find: '    if (!isDone && !isDeleted) unwritten.push(folded.of.key);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'joint-cell-never-written',
    guard: 'a cell that nobody has written after a joint commit is written, not taken for lost',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/workers/turn/find-start.ts',
        find: "    if (memory.owesCell && isMissing) return { kind: 'behind' };\n",
        replace: '    void isMissing;\n',
      },
    ],
  },
  {
    name: 'joint-holds-after-giving-up',
    guard:
      'a transaction that holds its lanes is still the first one of each when that is acknowledged',
    hunt: {
      by: 'test',
      file: CONFORMANCE,
      why: 'who holds its lanes must give up between take and acknowledgement: one seed in 100,000, and another one with each change of what is drawn',
    },
    edits: [
      {
        file: 'src/jobs/memory/memory-joint.ts',
        find: '    if (!this.#mayHold(commit)) return { accepted: false };\n',
        replace: '    void this.#mayHold(commit);\n',
      },
    ],
  },
  {
    name: 'joint-write-without-cas',
    guard: 'the CAS on the writes of a joint commit',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'test/simulation/memcached-wire.ts',
        find: 'this.#options.store.replace(name, sent, cas),',
        replace: `this.#options.store.replace(name, sent, sent.value.includes('"keys":[') ? (this.#options.store.peek(name)?.cas ?? cas) : cas),`,
      },
    ],
  },
  {
    name: 'joint-cells-unread',
    guard: 'cells are read before a joint commit is acknowledged, and written under that CAS',
    hunt: WITH_TRANSACTIONS,
    edits: [
      {
        file: 'src/workers/joint/run-keys.ts',
        find: '    const found = cellOf(outcome);\n',
        replace: '    const found = cellOf(outcome) && NO_CELL;\n',
      },
      {
        file: 'src/workers/joint/write-cells.ts',
        find: 'function write(folded: FoldedKey): Promise<Outcome<Cas>> {\n',
        replace: 'async function write(folded: FoldedKey): Promise<Outcome<Cas>> {\n',
      },
      {
        file: 'src/workers/joint/write-cells.ts',
        find: '  const { connection, key, cas } = folded.of;\n',
        replace: `  const { connection, key } = folded.of;
  const now = await connection.get(cellName(key));
  const cas = now.kind === 'done' ? now.value.cas : folded.of.cas;
`,
      },
    ],
  },
  {
    name: 'joint-any-base',
    guard: 'each copy is the base of the joint commit',
    hunt: {
      by: 'test',
      file: CONFORMANCE,
      why: 'whoever commits one of the keys meanwhile changes the head of its lane, too, unless its job was removed',
    },
    edits: [
      {
        file: 'src/jobs/redis/scripts/joint/acknowledge-joint.ts',
        find: "  if not fits then return '0' end\n",
        replace: '',
      },
      {
        file: 'src/jobs/memory/memory-joint.ts',
        find: '    if (keys.some(({ base }, at) => base !== tokens[at])) return { accepted: false };\n',
        replace: '',
      },
    ],
  },
  {
    name: 'joint-any-head-in-redis',
    guard: 'the same, in Redis: exactly the jobs of a joint commit are at the heads of its lanes',
    hunt: { by: 'test', file: CONFORMANCE, why: IN_MEMORY },
    edits: [
      {
        file: 'src/jobs/redis/scripts/joint/acknowledge-joint.ts',
        find: "    if not head then return '0' end\n",
        replace: '    head = head or { sequence = false }\n',
      },
    ],
  },
  {
    name: 'joint-ready-or-not-in-redis',
    guard: 'the same, in Redis: a joint job is driven once it is the next one in all its lanes',
    hunt: { by: 'test', file: CONFORMANCE, why: IN_MEMORY },
    edits: [
      {
        file: 'src/jobs/redis/scripts/joint/head.ts',
        find: '      if id ~= place.id then\n',
        replace: '      if not id then\n',
      },
    ],
  },
  {
    name: 'joint-numbered-apart',
    guard: 'a joint job has one sequence in all its lanes',
    hunt: { by: 'test', file: CONFORMANCE, why: IN_MEMORY },
    edits: [
      {
        file: 'src/jobs/redis/scripts/joint/enter.ts',
        find: "    redis.call('ZADD', own .. 'lane:' .. keys[i], sequence, jobId)\n",
        replace: "    redis.call('ZADD', own .. 'lane:' .. keys[i], draw(), jobId)\n",
      },
    ],
  },
  {
    name: 'joint-based-before',
    guard: 'a joint commit is the base of its own cells: nobody acknowledges one of them alone',
    hunt: { by: 'test', file: CELLS, why: 'its Redis never forgets a commit' },
    edits: [
      {
        file: 'src/workers/joint/fold-run.ts',
        find: '    base: token,\n',
        replace: '    base: of.copy.token,\n',
      },
    ],
  },
  {
    name: 'joint-beside-what-landed',
    guard: 'a commit that has landed in the cell of another key is acknowledged before a joint one',
    hunt: {
      by: 'test',
      file: CELLS,
      why: 'its job is before the joint one in that lane, unless it was removed just then',
    },
    edits: [
      {
        file: 'src/workers/joint/run-keys.ts',
        find: `    case 'unacknowledged':
      return undefined;
`,
        replace: `    case 'unacknowledged':
      if (typeof copy.value !== 'object') return undefined;
      return found([JSON.parse(copy.value.json)], 'base', 0);
`,
      },
    ],
  },
  {
    name: 'joint-beside-a-lost-job',
    guard: 'a cell whose lane has lost a job is closed to that job’s commit before a joint one',
    hunt: {
      by: 'test',
      file: CELLS,
      why: 'its holder would have to freeze just before its commit, and its job to be removed then',
    },
    edits: [
      {
        file: 'src/workers/joint/run-keys.ts',
        find: '    const cell = found && other.lost ? await close(connection, key, found) : found;\n',
        replace: '    const cell = found;\n',
      },
      {
        file: 'src/workers/joint/run-keys.ts',
        find: '  const known = lost ? await close(connection, key, cell) : cell;\n',
        replace: '  const known = cell;\n',
      },
    ],
  },
  {
    name: 'joint-keys-by-their-user',
    guard:
      'the keys that a transaction is told cannot be changed: its values go to them by their places',
    hunt: {
      by: 'test',
      file: 'test/unit/testing/transactions.test.ts',
      why: 'none of its transactions sorts the keys of its context',
    },
    edits: [
      {
        file: 'src/updates/calling/update-context.ts',
        find: '    this.#keys ??= keys && Object.freeze([...keys]);\n',
        replace: '    this.#keys ??= keys && [...keys];\n',
      },
    ],
  },
  {
    name: 'joint-cut-short',
    guard: 'what was taken with a joint commit, and is not decided by it, is in nobody’s hand',
    hunt: { by: 'test', file: FAILING, why: SLOWER },
    edits: [
      {
        file: 'src/workers/joint/drive.ts',
        find: '  turn.putBack(new Set(folded.keys.map(({ of }) => of.key)));\n',
        replace: '  turn.takenToken = 0;\n',
      },
    ],
  },
  {
    name: 'joint-nobody-goes-on',
    guard: 'lanes that go on by themselves behind a joint commit are visited',
    hunt: { by: 'test', file: FAILING, why: SLOWER },
    edits: [
      {
        file: 'src/workers/joint/drive.ts',
        find: '(onward?.includes(of.key) ?? true)) toVisit.add(of.key);\n',
        replace: 'onward === undefined) toVisit.add(of.key);\n',
      },
    ],
  },
  {
    name: 'joint-waits-in-its-slot',
    guard: 'jobs behind a transaction that waits for its delivery do not keep their slots from it',
    hunt: { by: 'test', file: FAILING, why: SLOWER },
    edits: [
      {
        file: 'src/workers/joint/ready.ts',
        find: '  return stands\n',
        replace: '  return stands && forKeys.length > 8\n',
      },
    ],
  },
  {
    name: 'joint-keys-in-former-order',
    guard:
      'a transaction that names the same keys in another order by now gets their values in that order',
    hunt: {
      by: 'test',
      file: 'test/unit/history/replay/replay-joint.test.ts',
      why: 'its transactions are never changed',
    },
    edits: [
      {
        file: 'src/updates/calling/joint-updates.ts',
        find: '    if (named.every((key) => keys.includes(key))) return (job as Context).inOrder(named);\n',
        replace: '    void (job as Context);\n',
      },
    ],
  },
];
