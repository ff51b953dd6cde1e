/** Of Redis: whether it keeps what it acknowledges, whose clock is right, which BullMQ is at work. Pure but for what is passed in. */
import { durationText } from '../../base/duration-text.ts';
import type { InstalledBullMQ } from '../../jobs/bullmq/state/known-bullmq.ts';
import { bad, type Finding, good, unsure } from './finding.ts';

/** Milliseconds by which two clocks may differ before it is told. */
const CLOCKS_DIFFER_MS = 1_000;

/** As INFO tells it; what is missing there is undefined. */
export type RedisInfo = Readonly<Record<string, string | undefined>>;

export function infoOf(text: string): RedisInfo {
  const lines = text.split(/\r?\n/).flatMap((line): [string, string][] => {
    const at = line.indexOf(':');
    return at > 0 && !line.startsWith('#') ? [[line.slice(0, at), line.slice(at + 1)]] : [];
  });
  return Object.fromEntries(lines);
}

export function redisFindings(info: RedisInfo): Finding[] {
  const version = info['redis_version'] ?? 'of an unknown version';
  const findings = [good('redis', `it answers: Redis ${version}, ${info['role'] ?? 'master'}`)];
  if (info['role'] === 'slave')
    findings.push(
      bad('redis role', 'this is a replica, which takes no writes', 'Name the primary.'),
    );
  findings.push(evictionOf(info), persistenceOf(info), ...memoryOf(info));
  return findings;
}

function evictionOf(info: RedisInfo): Finding {
  const policy = info['maxmemory_policy'];
  const check = 'redis eviction';
  if (policy === 'noeviction') return good(check, 'noeviction: it deletes no job by itself');
  if (policy === undefined)
    return unsure(check, 'it does not tell its maxmemory-policy', 'It must be noeviction.');
  const says = `maxmemory-policy is ${policy}: it may delete jobs, lanes and copies when it is full`;
  return bad(check, says, 'Set maxmemory-policy to noeviction.');
}

function persistenceOf(info: RedisInfo): Finding {
  const check = 'redis persistence';
  if (info['aof_enabled'] === '1') {
    if (info['aof_last_write_status'] === 'err')
      return bad(check, 'it cannot write its append-only file', 'Look at its disk.');
    return good(check, 'an append-only file');
  }
  const failed = info['rdb_last_bgsave_status'] === 'err';
  if (failed) return bad(check, 'its last snapshot has failed', 'Look at its disk and its log.');
  return unsure(
    check,
    'no append-only file: what it acknowledged since its last snapshot is lost if it ends',
    'Set appendonly to yes, and appendfsync to everysec or always.',
  );
}

/** @param forbidden commands that the scripts call, and the user of this login may not */
export function accessFinding(forbidden: readonly string[]): Finding {
  const check = 'redis access list';
  if (forbidden.length === 0)
    return good(check, 'it forbids this user nothing that a worker needs');
  const says = `it forbids this user ${forbidden.join(', ')} at the queue's keys: a worker with this login waits`;
  return unsure(check, says, 'docs/guide/security.md has the rules to set for workers.');
}

function memoryOf(info: RedisInfo): Finding[] {
  const [used, most] = [Number(info['used_memory'] ?? 0), Number(info['maxmemory'] ?? 0)];
  if (most === 0 || used < most * 0.9) return [];
  const says = `it uses ${Math.round((used / most) * 100)} % of its maxmemory`;
  return [unsure('redis memory', says, 'Give it more; once it is full, no job can be added.')];
}

/** @param aheadMs by how much this machine's clock is ahead of Redis' */
export function clockFinding(aheadMs: number): Finding {
  const apart = Math.abs(aheadMs);
  if (apart < CLOCKS_DIFFER_MS) return good('clocks', 'the clocks here and of Redis agree');
  const says = `the clock here is ${durationText(apart)} ${aheadMs > 0 ? 'ahead of' : 'behind'} Redis'`;
  return unsure('clocks', says, 'Toril goes by Redis’ clock; what else compares times is wrong.');
}

export function versionFindings(node: string, { version, changed }: InstalledBullMQ): Finding[] {
  const installed = `BullMQ ${version}`;
  const bullmq =
    changed.length === 0
      ? good('bullmq', `${installed}, which Toril knows`)
      : unsure(
          'bullmq',
          `${installed} has scripts that Toril does not know (${changed.join(', ')}): slower, and as exact`,
          'Install the version that package.json names.',
        );
  return [good('node', node), bullmq];
}
