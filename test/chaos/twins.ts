/**
 * The evil twins: the same chaos with a guard taken away, which the auditor must notice. Runs in
 * the worker processes.
 */
import { RedisLanes } from '../../src/jobs/redis/redis-lanes.ts';
import { OPCODE } from '../../src/memcached/binary/codec.ts';
import { Wire } from '../../src/memcached/binary/wire.ts';

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
  const { request } = Wire.prototype;
  Wire.prototype.request = function (this: Wire, opcode, parts, meaning) {
    const isCommit = opcode === OPCODE.replace && parts.name?.startsWith('toril:lock:') !== true;
    return request.call(this, opcode, isCommit ? { ...parts, cas: 0n } : parts, meaning) as never;
  };
}

function withoutCondition(): void {
  RedisLanes.prototype.acknowledge = async function (this: RedisLanes, commit) {
    await this.overwriteCopy(commit);
    return { accepted: true, snoozed: [] };
  };
}
