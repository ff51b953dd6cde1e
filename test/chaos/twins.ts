/**
 * The evil twins: the same chaos with a guard taken away, which the auditor must notice. Runs in
 * the worker processes.
 */
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import type { Connection } from '../../src/memcached/server.ts';
import { SocketConnection } from '../../src/memcached/socket/socket-connection.ts';

export const TWINS = {
  'no condition': 'Redis takes every acknowledgement',
  'no fences': 'and a commit replaces whatever is in the cell by then',
  'half transfers': 'Redis takes a commit of several keys for the first of them alone',
} as const;
export type TwinName = keyof typeof TWINS;

export function takeGuardAway(twin: TwinName): void {
  if (twin === 'half transfers') return withoutOthers();
  withoutCondition();
  if (twin === 'no fences') withoutCas();
}

/** With whatever CAS the cell has by then, in any protocol. */
function withoutCas(): void {
  const { replace } = SocketConnection.prototype;
  SocketConnection.prototype.replace = async function (this: Connection, name, item, cas) {
    const isCommit = !name.startsWith('toril:lock:');
    const now = isCommit ? await this.get(name) : undefined;
    return replace.call(this, name, item, now?.kind === 'done' ? now.value.cas : cas);
  };
}

function withoutCondition(): void {
  RedisLanes.prototype.acknowledge = async function (this: RedisLanes, commit) {
    await this.overwriteCopy(commit);
    return { accepted: true, snoozed: [] };
  };
}

function withoutOthers(): void {
  const { acknowledgeJoint } = RedisLanes.prototype;
  RedisLanes.prototype.acknowledgeJoint = function (this: RedisLanes, commit) {
    return acknowledgeJoint.call(this, { ...commit, keys: commit.keys.slice(0, 1) });
  };
}
