/**
 * The evil twins: the same chaos with a guard taken away, which the auditor must notice. Runs in
 * the worker processes.
 */
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { BinaryProtocol } from '../../src/memcached/binary/binary-protocol.ts';

export const TWINS = {
  'no condition': 'Redis takes every acknowledgement',
  'no fences': 'and a commit replaces whatever is in the cell by then',
} as const;
export type TwinName = keyof typeof TWINS;

export function takeGuardAway(twin: TwinName): void {
  withoutCondition();
  if (twin === 'no fences') withoutCas();
}

/** On the wire, CAS 0 means no condition. */
function withoutCas(): void {
  const { replace } = BinaryProtocol.prototype;
  BinaryProtocol.prototype.replace = function (this: BinaryProtocol, name, item, cas) {
    return replace.call(this, name, item, name.startsWith('toril:lock:') ? cas : 0n);
  };
}

function withoutCondition(): void {
  RedisLanes.prototype.acknowledge = async function (this: RedisLanes, commit) {
    await this.overwriteCopy(commit);
    return { accepted: true, snoozed: [] };
  };
}
