/** From the history to a recording. */
import { readFileSync } from 'node:fs';
import { isoTime, systemClock } from '../base/clock.ts';
import { TorilError } from '../errors.ts';
import { checkKey } from '../key.ts';
import { decodeOutcome, PLAIN_APPLIED } from '../updates/outcome.ts';
import {
  type History,
  type HistoryEntry,
  type HistoryJob,
  type HistoryRequest,
  RESULT_HASH_MARK,
} from './history.ts';
import {
  ChainWriter,
  type RecordedCommit,
  type RecordedJob,
  type RecordedOutcome,
  RECORDING_FORMAT,
  type RecordingHeader,
  SINGLE_KEY_FORMAT,
} from './recording/recording.ts';
import { sliceOfKey } from './cutting/slice.ts';
import { copyOfRecording } from './recording/copy.ts';
import { asLines, linesAnew } from './recording/input.ts';
import { type Mask, Masking } from './recording/mask.ts';
import type { AnyUpdate } from '../updates/update.ts';

/** What has a history: a Queue. */
export interface Recordable {
  /** As in "bull:orders". */
  readonly qualifiedName: string;
  readonly history: History;
}

export interface RecordOptions {
  /** Only this key's commits. */
  readonly key?: string | undefined;
  /** Only commits acknowledged since then; a number: milliseconds since 1970. */
  readonly since?: number | undefined;
  /** Takes secrets out. The recording says that it was masked. */
  readonly mask?: Mask | undefined;
  /**
   * With a mask: the updates that made the history. The masked recording's values and results are recomputed with
   * them, so that it can be replayed; without them, it says that it cannot.
   */
  readonly updates?: readonly AnyUpdate[] | undefined;
}

/**
 * The lines of a recording, without their newlines, of all that the history has at this moment. They
 * come page by page, so it may be as long as it likes.
 * @throws TorilError INVALID_KEY, NOTHING_RECORDED, RECORDING_MASKED, BAD_FILE (the mask fails), REDIS_FAILED
 */
export function record(
  source: Recordable,
  options: RecordOptions = {},
): AsyncGenerator<string, void, undefined> {
  return asLines(linesOf(source, options));
}

async function* linesOf(
  source: Recordable,
  options: RecordOptions,
): AsyncGenerator<string, void, undefined> {
  const { key, since, mask, updates } = options;
  if (key !== undefined) checkKey(key); // an empty one would mean all keys to the history
  const masking = mask && new Masking(mask, updates);
  const writer = new ChainWriter();
  const keys = new Set<string>();
  const torn: number[] = [];
  let jobs = 0;
  let commits = 0;
  let hasResults = masking?.keepsReplayable !== false;
  let request: HistoryRequest | undefined = { after: since ?? 0, key };
  while (request !== undefined) {
    const page = await source.history.read(request);
    // If the first one comes meanwhile, it is behind `until`, and not in this recording.
    const mayBeJoint = page.isJoint === true && commits === 0;
    if (key !== undefined && mayBeJoint) return yield* linesOfKey(source, options, key);
    if (page.isTorn === true) torn.push(commits + 1);
    for (const entry of page.entries) {
      if (commits === 0) {
        const header = headerOf(source, options, masking, page.isJoint === true);
        yield writer.line({ recording: header });
      }
      const plain = commitOf(entry);
      const masked = masking === undefined ? [plain] : await masking.next(plain, commits + 2);
      for (const commit of masked) yield writer.line({ commit });
      commits += 1;
      jobs += plain.jobs.length;
      hasResults &&= entry.hasResults === true;
      keys.add(plain.key);
    }
    request = page.next;
  }
  for (const commit of (await masking?.end()) ?? []) yield writer.line({ commit });
  if (commits === 0) throw nothing(source, options);
  yield writer.line({
    end: {
      ...{ commits, jobs, keys: keys.size },
      ...(hasResults && { results: true }),
      ...(torn.length > 0 && { torn }),
    },
  });
}

/** Its transactions need values of other keys: those are cut out of the whole history, which is read more than once for it. */
async function* linesOfKey(
  source: Recordable,
  options: RecordOptions,
  key: string,
): AsyncGenerator<string, void, undefined> {
  const { since, mask, updates } = options;
  // Masked values are made of all that came before, so before the key is cut out. Without updates none are made.
  const isRemade = mask !== undefined && updates !== undefined;
  const whole = linesAnew(() => record(source, isRemade ? { since, mask, updates } : { since }));
  const lines = sliceOfKey(whole, key);
  const isReady = mask === undefined || isRemade;
  try {
    yield* isReady ? lines : copyOfRecording(lines, new Masking(mask, undefined));
  } catch (thrown) {
    const isMissing = thrown instanceof TorilError && thrown.code === 'NOTHING_RECORDED';
    throw isMissing ? nothing(source, options) : thrown;
  }
}

function headerOf(
  { qualifiedName }: Recordable,
  { key, since }: RecordOptions,
  masking: Masking | undefined,
  isJoint: boolean,
): RecordingHeader {
  return {
    format: isJoint ? RECORDING_FORMAT : SINGLE_KEY_FORMAT,
    toril: version(),
    queue: qualifiedName,
    recordedAt: isoTime(systemClock.wallMs()),
    key: key ?? null,
    since: since === undefined ? null : isoTime(since),
    masked: masking !== undefined,
    replayable: masking?.keepsReplayable ?? true,
  };
}

function commitOf({ id, key, token, base, watermark, ...entry }: HistoryEntry): RecordedCommit {
  const { origin, hash, value, recovered, keys, head } = entry;
  return {
    id,
    key,
    token,
    base,
    watermark,
    ...(typeof origin === 'object'
      ? { origin: { adopted: JSON.parse(origin.adopted) as unknown } }
      : origin !== 'base' && { origin }),
    jobs: entry.jobs.map(jobOf),
    hash,
    ...(value !== undefined && { value: JSON.parse(value) as unknown }),
    ...(recovered && { recovered }),
    ...(keys !== undefined && { keys }),
    ...(head !== undefined && { head }),
  };
}

function jobOf({ jobId, name, sequence, attempt, decision, data, keys }: HistoryJob): RecordedJob {
  const outcome = outcomeOf(decision);
  const parsed = name === undefined ? undefined : parsedOrNot(data);
  return {
    id: jobId,
    ...(name !== undefined && { update: name }),
    sequence,
    attempt,
    ...(keys !== undefined && { keys }),
    ...(outcome && { outcome }),
    ...(parsed !== undefined && { data: parsed }),
    ...resultOf(decision),
  };
}

function resultOf(decision: string): Pick<RecordedJob, 'result' | 'resultHash'> {
  if (decision.length <= PLAIN_APPLIED.length || !decision.startsWith(PLAIN_APPLIED)) return {};
  const result = decision.slice(PLAIN_APPLIED.length);
  return result.startsWith(RESULT_HASH_MARK)
    ? { resultHash: result.slice(RESULT_HASH_MARK.length) }
    : { result: JSON.parse(result) as unknown };
}

function outcomeOf(decision: string): RecordedOutcome | undefined {
  if (decision === 'm') return { kind: 'moved' };
  if (decision === 's') return { kind: 'withdrawn' };
  const outcome = decodeOutcome(decision);
  return outcome?.kind === 'failed' ? outcome : undefined;
}

/** A job with data that are no JSON has failed; a producer without Toril may have made one. */
function parsedOrNot(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

function nothing({ qualifiedName }: Recordable, { key, since }: RecordOptions): TorilError {
  const ofKey = key === undefined ? '' : ` of the key ${JSON.stringify(key)}`;
  const sinceThen = since === undefined ? '' : ` since ${isoTime(since)}`;
  return new TorilError(
    'NOTHING_RECORDED',
    `the history of the queue "${qualifiedName}" has no commit${ofKey}${sinceThen}. Workers write it with history: 'on' (toril worker --history).`,
  );
}

function version(): string {
  // As far from src/jobs as from dist/jobs.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
