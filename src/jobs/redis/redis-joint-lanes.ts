/** Lanes of jobs of several keys, in Redis: each transition is one script of scripts/joint/. */
import type { Clock } from '../../base/clock.ts';
import { Gather } from '../../base/gather.ts';
import type {
  BehindCommit,
  JointAcknowledged,
  JointCommit,
  JointKey,
  JointLanes,
} from '../joint-lanes.ts';
import { COPY_GRACE_MS, COPY_IN_USE_MS } from '../lanes.ts';
import type { Copy } from '../lane.ts';
import type { QueueScripts } from './queue-scripts.ts';
import { copyOf } from './redis-lane-messages.ts';
import {
  ACKNOWLEDGE_JOINT,
  type JointAnswer,
  type JointArguments,
  type JointKeyArguments,
  WITHDRAW,
} from './scripts/joint/acknowledge-joint.ts';
import { BEHIND, EXPIRES_MARK, SETTLED, SNAPSHOT } from './scripts/joint/behind.ts';
import { ENTER_JOINT } from './scripts/joint/enter.ts';
import { jointNoteArguments } from './scripts/joint/record.ts';
import { NOTE_WAIT } from './scripts/joint/wait.ts';
import { Packing } from './scripts/packing.ts';

/** Commits per call: each is of several keys, and no script may block Redis for long. */
const COMMITS_PER_CALL = 8;
const ANSWERS: Readonly<Record<'k' | '0' | 'b', JointAcknowledged>> = {
  k: { accepted: true },
  '0': { accepted: false },
  b: { accepted: false, wentBack: true },
};

export class RedisJointLanes implements JointLanes {
  readonly #scripts: QueueScripts;
  readonly #decided: (() => void) | undefined;
  readonly #acknowledge: Gather<JointCommit, JointAcknowledged>;
  /** Tokens as SETTLED has them. */
  readonly #settled: Gather<string, undefined>;

  /** @param decided told when jobs were decided, some of which may be snoozed */
  constructor(scripts: QueueScripts, clock: Clock, decided: (() => void) | undefined) {
    const atMost = { atMost: COMMITS_PER_CALL, callsMax: 1 };
    this.#scripts = scripts;
    this.#decided = decided;
    this.#acknowledge = new Gather(clock, atMost, (commits) => this.#acknowledgeMany(commits));
    this.#settled = new Gather(clock, { ...atMost, atMost: 64 }, async (tokens) => {
      await scripts.run(SETTLED, tokens);
      return tokens.map(() => undefined);
    });
  }

  async enterJoint(jobId: string, keys: readonly string[]): Promise<void> {
    await this.#scripts.run(ENTER_JOINT, [jobId, JSON.stringify(keys)]);
  }

  acknowledgeJoint(commit: JointCommit): Promise<JointAcknowledged> {
    return this.#acknowledge.call(commit);
  }

  settled(token: number, isLasting: boolean = false): Promise<void> {
    return this.#settled.call(isLasting ? String(token) : `${token}${EXPIRES_MARK}`);
  }

  async behind(token?: number): Promise<BehindCommit[]> {
    const args = token === undefined ? ['-inf', '+inf'] : [token, token];
    const members = (await this.#scripts.run(BEHIND, args)) as string[];
    return members.map((member) => {
      const [its, ...keys] = JSON.parse(member) as string[];
      return { token: Number(its), keys };
    });
  }

  async noteWait(jobId: string, sequence: number, failAfterMs: number): Promise<number> {
    const args = [jobId, sequence, Math.ceil(failAfterMs)];
    return Number(await this.#scripts.run(NOTE_WAIT, args));
  }

  async withdraw(jobId: string, decision: string): Promise<boolean> {
    const keys = [`${this.#scripts.prefix}delayed`];
    const answer = await this.#scripts.run(WITHDRAW, [jobId, decision.toWellFormed()], keys);
    this.#decided?.();
    return answer === 1;
  }

  async snapshot(keys: readonly string[]): Promise<Copy[]> {
    const copies = (await this.#scripts.run(SNAPSHOT, keys)) as [string, string, string, string][];
    return copies.map((copy) => copyOf(...copy));
  }

  async #acknowledgeMany(commits: readonly JointCommit[]): Promise<JointAcknowledged[]> {
    const packing = new Packing();
    const args = packing.arguments(commits.map((commit) => jointArguments(commit, packing)));
    const keys = [`${this.#scripts.prefix}delayed`];
    const answers = (await this.#scripts.run(ACKNOWLEDGE_JOINT, args, keys)) as JointAnswer[];
    this.#decided?.();
    return answers.map(([letter, ...onward]) =>
      letter === '1' ? { accepted: true, onward } : ANSWERS[letter],
    );
  }
}

function jointArguments(commit: JointCommit, packing: Packing): JointArguments {
  const { at, dataSet, token, paceMs, decisions, history } = commit;
  const jobs = [...decisions].flatMap(([jobId, text]) => [
    jobId,
    packing.text(text.toWellFormed()),
  ]);
  const pace = String(Math.round(paceMs * 1000) / 1000);
  const keys = commit.keys.map((key) => keyArguments(key, packing));
  const told = [dataSet, String(token), pace, at, keys, jobs] as const;
  return history === undefined ? [...told] : [...told, jointNoteArguments(history, packing)];
}

function keyArguments(of: JointKey, packing: Packing): JointKeyArguments {
  const { key, base, watermark, jobIds, value, expireMs } = of;
  const packed = packing.text(value === 'deleted' ? '-' : `+${value.json}`);
  // Whoever puts a cell right must find the copy, however long its server is away. SETTLED lets it go.
  const copyExpireMs = value === 'deleted' || expireMs > 0 ? COPY_IN_USE_MS + COPY_GRACE_MS : 0;
  return [key, String(base), String(watermark), packed, expireMs, copyExpireMs, jobIds];
}
