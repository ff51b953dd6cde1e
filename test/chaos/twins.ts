/**
 * The evil twins: the same chaos with a guard taken away, which the auditor must notice. Runs in
 * the worker processes.
 */
import { RedisLanes } from '../../src/jobs/redis-lanes.ts';
import { SocketConnection } from '../../src/memcached/socket-connection.ts';

export const TWINS = {
  'no cas': 'a commit replaces whatever is in the cell by then',
  'no condition': 'Redis takes every acknowledgement',
  'no fences': 'both',
} as const;
export type TwinName = keyof typeof TWINS;

export function takeGuardAway(twin: TwinName): void {
  if (twin !== 'no condition') withoutCas();
  if (twin !== 'no cas') withoutCondition();
}

function withoutCas(): void {
  const { replace } = SocketConnection.prototype;
  SocketConnection.prototype.replace = async function (this: SocketConnection, name, item, cas) {
    if (name.startsWith('toril:lock:')) return replace.call(this, name, item, cas);
    const now = await this.get(name);
    return replace.call(this, name, item, now.kind === 'done' ? now.value.cas : cas);
  };
}

function withoutCondition(): void {
  RedisLanes.prototype.acknowledge = async function (this: RedisLanes, commit) {
    await this.overwriteCopy(commit);
    return { accepted: true, parked: [] };
  };
}
