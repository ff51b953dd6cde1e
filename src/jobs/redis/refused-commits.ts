/** Commits of a key that memcached or Redis refused: how many, and the last one. For operators: no promise depends on it. */
import { OWN_PREFIX_LUA } from '../../redis/own-keys.ts';
import { NOW_MS_LUA } from '../bullmq/state/timed.ts';
import { NONE_REFUSED } from '../reports/lane-past.ts';
import type { RefusedCommit, RefusedCommits } from '../reports/lane-report.ts';
import type { QueueScripts } from './queue-scripts.ts';
import type { Script } from './scripts/script.ts';

/** A week without one, and it is forgotten: keys come and go. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1_000;

export class RefusedCommitsInRedis {
  readonly #scripts: QueueScripts;

  constructor(scripts: QueueScripts) {
    this.#scripts = scripts;
  }

  /** @throws TorilError REDIS_FAILED */
  async note(key: string, { token, by }: Pick<RefusedCommit, 'token' | 'by'>): Promise<void> {
    await this.#scripts.run(NOTE_REFUSED, [key, token, by]);
  }

  /** @throws TorilError REDIS_FAILED */
  async of(key: string): Promise<RefusedCommits> {
    const [count, token, by, atMs] = (await this.#scripts.run(REFUSED, [key])) as string[];
    if (count === '') return NONE_REFUSED;
    const last = { token: Number(token), by: by as RefusedCommit['by'], atMs: Number(atMs) };
    return { count: Number(count), last };
  }
}

/** KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] key  ARGV[3] token  ARGV[4] by whom */
const NOTE_REFUSED: Script = {
  name: 'torilNoteRefused',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${NOW_MS_LUA}
local refused = own .. 'refused:' .. ARGV[2]
redis.call('HINCRBY', refused, 'n', 1)
redis.call('HSET', refused, 't', ARGV[3], 'by', ARGV[4], 'at', string.format('%d', nowMs))
redis.call('PEXPIRE', refused, ${KEPT_MS})
`,
};

/** KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] key.  Returns count, token, by whom, milliseconds since 1970: '' if none */
const REFUSED: Script = {
  name: 'torilRefused',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local refused = redis.call('HMGET', own .. 'refused:' .. ARGV[2], 'n', 't', 'by', 'at')
return { refused[1] or '', refused[2] or '', refused[3] or '', refused[4] or '' }
`,
};
