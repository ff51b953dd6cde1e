/** Guards of a key's chain: the two fences of a commit, what is believed, and in which order things happen. */
import { SIMULATED, type Twin } from './twin.ts';

const LOCK = 'toril:lock:';

export const COMMIT_TWINS: readonly Twin[] = [
  {
    name: 'commit-without-cas',
    guard: 'the CAS on the commit',
    hunt: SIMULATED,
    edits: [
      {
        file: 'test/simulation/memcached-wire.ts',
        find: 'this.#options.store.replace(name, sent, cas),',
        replace: `this.#options.store.replace(name, sent, name.startsWith('${LOCK}') ? cas : (this.#options.store.peek(name)?.cas ?? cas)),`,
      },
    ],
  },
  {
    name: 'set-for-replace',
    guard: 'a write without a copy behind it (a lock) leaves what is there if there is no room',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/memcached/memory/memory-store.ts',
        find: '    if (isCopied === true) this.evict(name);\n',
        replace:
          '    if (isCopied === true) this.evict(name);\n    else this.#items.delete(name);\n',
      },
    ],
  },
  {
    name: 'believe-any-cell',
    guard: 'the rule which cell is believed: a stale one is restored from the copy',
    hunt: { by: 'simulation', from: 30_200, seeds: 20_000 },
    edits: [
      {
        file: 'src/cells/reconcile.ts',
        find: "  return { kind: 'restore', found: 'stale' };",
        replace: "  return { kind: 'clean', envelope };",
      },
    ],
  },
  {
    name: 'forget-landed-commit',
    guard: 'acknowledging the commit of a predecessor that had landed',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/cells/reconcile.ts',
        find: "  if (envelope.base === copy.token) return { kind: 'unacknowledged', envelope };\n",
        replace: '',
      },
    ],
  },
  {
    name: 'believe-other-redis',
    guard: 'a cell of another Redis data set is not believed',
    hunt: {
      by: 'test',
      file: 'test/unit/cells/reconcile.test.ts',
      why: 'one world has one Redis; test/integration/data-sets.test.ts has two',
    },
    edits: [
      {
        file: 'src/cells/reconcile.ts',
        find: '  if (!isOfLock && envelope.dataSet !== from.dataSet.id)\n',
        replace: '  if (!isOfLock && envelope.dataSet === "")\n',
      },
    ],
  },
  {
    name: 'numbers-again',
    guard: 'a token, or a sequence, that Redis gave out before proves that it went back',
    hunt: {
      by: 'test',
      file: 'test/unit/cells/reconcile.test.ts',
      why: 'its Redis never forgets; test/integration/failover.test.ts has one that does',
    },
    edits: [
      {
        file: 'src/cells/reconcile.ts',
        find: '  if (copy.token >= token || copy.watermark >= Math.min(token, firstSequence))\n',
        replace: '  if (copy.token >= token + firstSequence)\n',
      },
    ],
  },
  {
    name: 'strangers-leave',
    guard:
      'nobody leaves his lane with a commit that somebody else made, but the jobs that it names',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/went-back.test.ts',
      why: 'its Redis never forgets; test/integration/failover.test.ts has one that does',
    },
    edits: [
      {
        file: 'src/workers/turn/acknowledge.ts',
        find: '    decided: sequences.length,\n    sequences,\n',
        replace: '    decided: 1_000,\n',
      },
    ],
  },
  {
    name: 'lane-left-to-nobody',
    guard:
      'whoever leaves a lane that has jobs, of which none waits with him, has the first one woken',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/leaving-a-lane.test.ts',
      why: 'there no job is snoozed for longer than the end may take',
    },
    edits: [
      {
        file: 'src/workers/gate/combiner.ts',
        find: '    if (!this.#laneIsEmpty && !someWaited) void this.#wakeHead();\n',
        replace: '',
      },
    ],
  },
  {
    name: 'late-jobs-unnamed',
    guard:
      'a commit names the jobs that entered late, of which a promoted replica may not know that they did',
    hunt: {
      by: 'test',
      file: 'test/integration/rolling-back.test.ts',
      why: 'the simulation sees it, in one run of 250 with nothing but the faults that it takes (its canary)',
    },
    edits: [
      {
        file: 'src/workers/fold/fitting.ts',
        find: '      late: lateOf(entries, batch),\n',
        replace: '',
      },
    ],
  },
  {
    name: 'late-jobs-untold',
    guard: 'what acknowledges a commit tells those of its late jobs that are in no lane',
    hunt: {
      by: 'test',
      file: 'test/conformance/lanes.test.ts',
      why: 'the simulation has no Redis, but the engine in memory',
    },
    edits: [
      {
        file: 'src/jobs/redis/scripts/acknowledge.ts',
        find: '  if late then addLate(',
        replace: '  if late and not key then addLate(',
      },
    ],
  },
  {
    name: 'another-job-of-its-id',
    guard:
      'a job that entered its lane when it was added is not taken for a late one of the same id',
    hunt: {
      by: 'test',
      file: 'test/conformance/lanes.test.ts',
      why: 'the simulation uses no id twice',
    },
    edits: [
      {
        file: 'src/jobs/redis/scripts/late-jobs.ts',
        find: '  if isInLane and not job[5] then return false end\n',
        replace: '',
      },
    ],
  },
  {
    name: 'no-visit',
    guard: 'a stale cell is put right at once, also if there is nothing to apply',
    hunt: { by: 'search', flags: '--path queue --cell missing --expiries 1 --evictions 1' },
    edits: [
      {
        file: 'src/workers/turn/find-start.ts',
        find: "  if (reconciled.kind === 'restore' && reconciled.found === 'stale') return { kind: 'behind' };\n",
        replace: '',
      },
    ],
  },
  {
    name: 'forget-refused-commit',
    guard: 'whoever made a commit that Redis refused stays until the cell has been looked at',
    hunt: { by: 'search', flags: '--path queue --cell missing --expiries 1 --evictions 1' },
    edits: [
      {
        file: 'src/workers/gate/combiner.ts',
        find: '      const owes = this.memory.owesVisit;\n',
        replace: '      const owes = this.memory.owesVisit && this.arrivals.size > 0;\n',
      },
    ],
  },
  {
    name: 'visit-without-cas',
    guard: 'the CAS on what puts a stale cell right',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/putting-right.test.ts',
      why: 'somebody would have to change the cell between a read and a write of one round trip each',
    },
    edits: [
      {
        file: 'src/workers/turn/putting-right.ts',
        find: '    const item = cellItem(envelope, true);\n',
        replace: `    const item = cellItem(envelope, true);
    const now = await connection.get(cellName);
    if (now.kind === 'done') cas = now.value.cas;
`,
      },
    ],
  },
  {
    name: 'acknowledge-anything',
    guard: 'the condition of the acknowledgement: the copy is the base of the commit',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/jobs/memory/memory-jobs.ts',
        find: '    if (copyToken !== commit.base) return { accepted: false };\n',
        replace: '',
      },
    ],
  },
  {
    name: 'unknown-is-done',
    guard: 'a commit without an answer counts as unknown',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/turn/commit.ts',
        find: "  if (outcome.kind === 'unknown' || outcome.reason === 'not-sent') return turn.lost();",
        replace:
          "  if (outcome.kind === 'unknown') return COMMITTED;\n  if (outcome.reason === 'not-sent') return turn.lost();",
      },
    ],
  },
  {
    name: 'watermark-stands-still',
    guard: 'the watermark: which jobs a commit has applied',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/fold/growing-batch.ts',
        find: '    this.#watermark = Math.max(this.#watermark, entry.sequence);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'complete-first',
    guard: 'completing jobs only after the acknowledgement',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/turn/turn.ts',
        find: '  const answer = await context.lanes.acknowledge(acknowledgement(turn, taken, fitting));\n',
        replace: `  const asking = context.lanes.acknowledge(acknowledgement(turn, taken, fitting));
  arrivals.settleMany(batch.settlements);
  const answer = await asking;
`,
      },
    ],
  },
  {
    name: 'leave-on-the-side',
    guard: 'a job that fails for good leaves its lane in a commit',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/turn/turn.ts',
        find: '  const committed = await commit(',
        replace: `  for (const [jobId, one] of batch.settlements)
    if (one.kind === 'decided' && one.outcome.kind === 'failed') arrivals.settle(jobId, one);
  const committed = await commit(`,
      },
    ],
  },
  {
    name: 'hold-on-the-side',
    guard: 'a job that fails and stays in its lane is a commit, too',
    hunt: { by: 'simulation', from: 1_400, seeds: 20_000 },
    edits: [
      {
        file: 'src/workers/turn/commit.ts',
        find: "  return stop.kind === 'held' && arrivals.get(stop.jobId) !== undefined;",
        replace: "  return stop.kind === 'held' && arrivals.get(stop.jobId) === null;",
      },
    ],
  },
  {
    name: 'no-outcome-in-job',
    guard: "the outcome in the job's hash, for jobs of somebody else's batch",
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/jobs/memory/departures.ts',
        find: '        job.outcome = decision;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'enqueue-in-two-steps',
    guard: 'atomic enqueue: the job and its place in the lane in one transaction',
    hunt: SIMULATED,
    edits: [
      {
        file: 'test/simulation/workload.ts',
        find: '    const { job } = bull.add(added);\n',
        replace: `    const isSplit = added.enters === true && this.#world.options.producers > 0;
    const { job } = bull.add(isSplit ? { ...added, enters: false } : added);
`,
      },
      {
        file: 'test/simulation/workload.ts',
        find: 'enters, job: added }: Order): void {\n',
        replace: 'enters, job: added }: Order): unknown {\n',
      },
      {
        file: 'test/simulation/workload.ts',
        find: 'of ${key}, ${attempts} attempts`);\n',
        replace: `of \${key}, \${attempts} attempts\`);
    // A take of nothing: what arrives enters its lane.
    const request = { key, cell: undefined, arrivals: [job.id], jobsMax: 0, dataMax: 0 };
    return isSplit ? () => this.#world.jobs.take(request) : undefined;
`,
      },
      {
        file: 'test/simulation/producer.ts',
        find: '    this.#link.call(transaction.execute).then(\n',
        replace: `    const first = this.#link.call(transaction.execute) as Promise<unknown>;
    first.then((enter) => enter && this.#link.call(enter as () => void)).then(
`,
      },
    ],
  },
  {
    name: 'token-before-lease',
    guard: 'the fencing token is drawn after the lease is held',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/gate/combiner.ts',
        find: '      const acquisition = await context.locks.attempt(',
        replace: `      const early = await context.lanes.take({ key: this.key, cell: undefined, arrivals: [], jobsMax: 0, dataMax: 0 });
      (this.memory as { early?: number }).early = early.token;
      const acquisition = await context.locks.attempt(`,
      },
      {
        file: 'src/workers/turn/turn.ts',
        find: '  const taken = noteTaken(turn, asked, await context.lanes.take(takeRequest(turn, asked)));\n',
        replace: `  const early = (memory as { early?: number }).early;
  const now = await context.lanes.take(takeRequest(turn, asked));
  const taken = noteTaken(turn, asked, { ...now, token: early ?? now.token });
  delete (memory as { early?: number }).early;
`,
      },
    ],
  },
];
