/** Guards of recordings with joint commits: each is folded once, as a whole, or is a gap of all its keys. */
import { type Edit, type Hunt, SIMULATED, type Twin } from './twin.ts';

const UNIT = 'test/unit/history';
const REPLAYING = `${UNIT}/replay/replay-joint.test.ts`;
const GAPS = `${UNIT}/replay/replay-joint-gaps.test.ts`;
const COMPARING = `${UNIT}/compare-joint.test.ts`;
const CUTTING = `${UNIT}/cutting-joint.test.ts`;
const STEPPING = `${UNIT}/stepping-joint.test.ts`;

export const byTest = (file: string): Hunt => ({ by: 'test', file, why: 'it replays nothing' });
export const edit = (file: string, find: string, replace: string): Edit => ({
  file: `src/history/${file}`,
  find,
  replace,
});

/** What is recorded is enough to go on from: the simulation keeps little of it, or much. */
const RECORDING_TWINS: readonly Twin[] = [
  {
    name: 'value-not-recorded',
    guard: 'a value is recorded where a replay could not go on otherwise',
    hunt: SIMULATED,
    edits: [
      edit(
        'history.ts',
        'isBlind || sinceCheckpoint < 0 || sinceCheckpoint',
        'isBlind || sinceCheckpoint',
      ),
    ],
  },
  {
    name: 'joint-value-not-recorded',
    guard: 'if the value of one key of a joint commit is not known, those of all are recorded',
    hunt: { ...SIMULATED, transactions: true },
    edits: [
      {
        file: 'src/jobs/memory/memory-history.ts',
        find: '      if (its < 0) return undefined;\n',
        replace: '      if (its < 0) continue;\n',
      },
    ],
  },
];

const REPLAY_TWINS: readonly Twin[] = [
  {
    name: 'replay-line-by-line',
    guard: 'the lines of a joint commit are folded together, not each for its own key',
    hunt: byTest(REPLAYING),
    edits: [
      edit(
        'recording/joint-lines.ts',
        '    if (this.#open === undefined && !isJoint(commit)) {\n',
        '    if (this.#open === undefined) {\n',
      ),
    ],
  },
  {
    name: 'replay-lines-of-others',
    guard: 'a line of another commit is no line of this one',
    hunt: byTest(GAPS),
    edits: [
      edit(
        'recording/joint-lines.ts',
        '  return commit.head === head.id && commit.key === head.keys[parts.length];\n',
        '  return head.id !== commit.id && commit.key === head.keys[parts.length];\n',
      ),
    ],
  },
  {
    name: 'replay-lines-in-any-order',
    guard: 'the lines of a joint commit are those of its keys, in their order',
    hunt: byTest(GAPS),
    edits: [
      edit(
        'recording/joint-lines.ts',
        '  return commit.head === head.id && commit.key === head.keys[parts.length];\n',
        '  return commit.head === head.id && parts.length < head.keys.length;\n',
      ),
    ],
  },
  {
    name: 'replay-part-of-a-commit',
    guard: 'a joint commit of which a line is missing is not folded',
    hunt: byTest(GAPS),
    edits: [
      edit(
        'replay/joint/fold-joint.ts',
        "  if (!isWhole) return close(() => ({ kind: 'unknown', reason: 'commits-missing' }));\n",
        '  void isWhole;\n',
      ),
    ],
  },
  {
    name: 'replay-of-unknown-values',
    guard: 'a joint commit is not folded if the value of one of its keys is not known',
    hunt: byTest(GAPS),
    edits: [
      edit(
        'replay/joint/fold-joint.ts',
        `  if (starts.includes(undefined)) return close(() => OTHER_KEY);
  const values = starts as JointValues;
`,
        '  const values: JointValues = starts.map((start) => start ?? null);\n',
      ),
    ],
  },
  {
    name: 'replay-of-differing-values',
    guard: 'a joint commit is not folded with a value that is not what it was',
    hunt: byTest(GAPS),
    edits: [
      edit(
        'replay/keys/key-replay.ts',
        "    if (this.#state !== 'following') return undefined;\n",
        '    if (this.#isWaiting()) return undefined;\n',
      ),
    ],
  },
  {
    name: 'replay-of-former-values',
    guard: 'what was recorded of a key is not its value behind commits that are missing',
    hunt: byTest(GAPS),
    edits: [
      edit(
        'replay/keys/key-replay.ts',
        '    return origin === undefined && base === this.#token ? this.#kept?.box : undefined;\n',
        '    return origin === undefined && base !== 0 ? this.#kept?.box : undefined;\n',
      ),
    ],
  },
  {
    name: 'replay-behind-a-failure',
    guard: 'keys of a joint commit that the failed job does not have are not blamed for it',
    hunt: byTest(REPLAYING),
    edits: [
      edit(
        'replay/joint/fold-joint.ts',
        '      return folded.job.keys?.includes(key) === true ? folded : OTHER_KEY;\n',
        "      return folded.job.keys?.includes(key) !== undefined || key === '' ? folded : OTHER_KEY;\n",
      ),
    ],
  },
  {
    name: 'replay-outcomes-of-others',
    guard: 'how jobs end is compared only if all keys of their commit are what they were',
    hunt: byTest(GAPS),
    edits: [
      edit(
        'replay/keys/key-check.ts',
        '    const isAgreed = replays.every(({ agrees }) => agrees);\n',
        '    const isAgreed = replays.some(({ agrees }) => agrees);\n',
      ),
    ],
  },
  {
    name: 'replay-of-other-keys',
    guard: 'a transaction that names other keys by now is not applied to those of its job',
    hunt: byTest(REPLAYING),
    edits: [
      edit(
        'replay/joint/joint-values.ts',
        `      throw new TorilError(
        'INVALID_KEY',
        'the transaction says that the job belongs to other keys.',
      );
`,
        '      void TorilError;\n',
      ),
    ],
  },
  {
    name: 'replay-of-another-kind',
    guard: 'an update of one key is not applied to a job of several',
    hunt: byTest(REPLAYING),
    edits: [
      edit(
        'replay/commit.ts',
        '  if ((update.keys === undefined) !== (job.keys === undefined)) return otherKind(job, update);\n',
        '  if (update.strict) return otherKind(job, update);\n',
      ),
    ],
  },
  {
    name: 'replay-out-of-turn',
    guard: 'a joint commit waits for what is folded of any of its keys',
    hunt: byTest(REPLAYING),
    edits: [
      edit(
        'replay/keys/keys-at-once.ts',
        '    const before = keys.flatMap((key) => this.#busy.get(key) ?? []);\n',
        '    const before = keys.slice(0, 1).flatMap((key) => this.#busy.get(key) ?? []);\n',
      ),
    ],
  },
  {
    name: 'replay-one-key-alone',
    guard: 'of a recording with joint commits, all keys are folded for one',
    hunt: byTest(REPLAYING),
    edits: [
      edit(
        'replay/replay.ts',
        '    return this.#isTold(key) || (this.#reader.header?.format ?? 0) > SINGLE_KEY_FORMAT;\n',
        '    return this.#isTold(key) || (this.#reader.header?.format ?? 0) < SINGLE_KEY_FORMAT;\n',
      ),
    ],
  },
  {
    name: 'total-amid-a-transaction',
    guard: 'a total is asked about behind a transaction, not between its keys',
    hunt: byTest(REPLAYING),
    edits: [
      edit(
        'invariants/checks.ts',
        '      this.#step(step, begins, (check) => !later.some((checks) => checks.includes(check)));\n',
        '      this.#step(step, begins, (check) => !later.includes([check]));\n',
      ),
    ],
  },
];

const OTHER_TWINS: readonly Twin[] = [
  {
    name: 'steps-without-others',
    guard: 'going through one key, those are followed of which its transactions need the values',
    hunt: byTest(STEPPING),
    edits: [
      edit(
        'stepping/key-steps.ts',
        '      return isNeeded ? making.follow(commit, line) : undefined;\n',
        '      return isNeeded ? undefined : making.follow(commit, line);\n',
      ),
    ],
  },
  {
    name: 'steps-of-others',
    guard: 'a job of a joint commit is a step of its own keys only',
    hunt: byTest(STEPPING),
    edits: [
      edit(
        'stepping/key-steps.ts',
        '    if (place === -1) return; // of another key of a joint commit\n',
        '',
      ),
    ],
  },
  {
    name: 'compare-unknown-values',
    guard: 'a joint commit is not compared if the value of one of its keys is not known',
    hunt: byTest(COMPARING),
    edits: [
      edit(
        'compare/joint-comparison.ts',
        `    if (!isWhole || values.includes(undefined)) return this.#lose();
    const known = values as readonly VersionValues[];
`,
        `    if (!isWhole) return this.#lose();
    const known: readonly VersionValues[] = values.map((one) => one ?? { old: null, new: null });
`,
      ),
    ],
  },
  {
    name: 'compare-part-of-a-commit',
    guard: 'a joint commit of which a line is missing is not compared',
    hunt: byTest(COMPARING),
    edits: [
      edit(
        'compare/joint-comparison.ts',
        '    if (!isWhole || values.includes(undefined)) return this.#lose();\n',
        '    if (values.includes(undefined)) return this.#lose();\n    void isWhole;\n',
      ),
    ],
  },
  {
    name: 'compare-what-cannot-run',
    guard: 'a joint commit is not compared if a version cannot run one of its jobs',
    hunt: byTest(COMPARING),
    edits: [
      edit(
        'compare/joint-comparison.ts',
        "    if (old.kind === 'obstacle' || now.kind === 'obstacle') return false;\n",
        "    if (old.kind === 'obstacle' || now.kind === 'obstacle') return true;\n",
      ),
    ],
  },
  {
    name: 'compare-one-key-alone',
    guard: 'comparing one key, those are followed of which its transactions need the values',
    hunt: byTest(COMPARING),
    edits: [
      edit(
        'compare/compare.ts',
        '      const isFollowed = isTold(commit.key) || reader.header?.format !== SINGLE_KEY_FORMAT;\n',
        '      const isFollowed = isTold(commit.key) || reader.header?.format === SINGLE_KEY_FORMAT;\n',
      ),
    ],
  },
  {
    name: 'slice-of-some-lines',
    guard: 'a slice has all lines of a joint commit, or none',
    hunt: byTest(CUTTING),
    edits: [
      edit('cutting/sources.ts', '      for (const one of lines) this.lines.add(one);\n', ''),
    ],
  },
  {
    name: 'slice-without-values',
    guard: 'a slice has the values with which its joint commits began',
    hunt: byTest(CUTTING),
    edits: [
      edit('cutting/sources.ts', '      for (const input of inputs) this.#mark(input);\n', ''),
    ],
  },
  {
    name: 'slice-without-their-sources',
    guard: 'and what those values were made of, through other transactions as well',
    hunt: byTest(CUTTING),
    edits: [
      edit(
        'cutting/sources.ts',
        `    if (value !== undefined) this.values.add(value);
    for (const input of inputs) this.#mark(input);
`,
        `    if (value !== undefined) this.values.add(value);
    void inputs;
`,
      ),
    ],
  },
];

export const HISTORY_TWINS: readonly Twin[] = [...RECORDING_TWINS, ...REPLAY_TWINS, ...OTHER_TWINS];
