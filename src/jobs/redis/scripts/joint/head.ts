import { COPY_IN_USE_MS } from '../../../lanes.ts';
import { JOINT_RUN_KEYS_MAX } from '../../../joint-lanes.ts';
import { LOST_FIELD } from '../script.ts';
import type { Packed } from '../packing.ts';

/** Lua does not tell an empty list from an empty object. */
type List<T> = readonly T[] | Readonly<Record<string, never>>;

export type JointReply = [
  ready: number,
  blockedBy: List<string>,
  missingIn: List<string>,
  lost: 0 | 1,
  others: List<OtherKeyReply>,
];

export type OtherKeyReply = [
  key: string,
  copyToken: string,
  watermark: string,
  /** '+' and JSON, '-' deleted, '0' not kept. */
  value: Packed,
  cascadeTo: string,
  expiresInMs: number,
  lost: 0 | 1,
  length: number,
];

/**
 * A fragment for TAKE: how many of a lane's first entries are joint jobs that are ready, which means that in each of their other
 * lanes only jobs of this run are before them; and the copies of these lanes. An entry's keys are in `keysOf`, nil for a
 * job of one key, which ends the run.
 */
export const JOINT_HEAD_LUA: string = `
local function isAmong(key, keys)
  for i = 1, #keys do if keys[i] == key then return true end end
  return false
end

local function otherKey(key)
  local copyKey = own .. 'copy:' .. key
  local copy = call('HMGET', copyKey, 't', 'w', 'x', 'c', '${LOST_FIELD}', 'v')
  local expiry, value = copy[3], copy[6] or '-'
  if not copy[1] or (expiry and tonumber(expiry) <= nowMs) then value = '-' end
  if expiry then call('PEXPIRE', copyKey, ${COPY_IN_USE_MS}) end
  local expiresIn = copy[1] and expiry and math.max(0, tonumber(expiry) - nowMs) or 0
  local token = copy[1] or '0'
  return { key, token, copy[2] or '0', packed(value), copy[4] or '0', expiresIn, copy[5] == token and 1 or 0,
    call('ZCARD', own .. 'lane:' .. key) }
end

local function jointHead(key, entries, keysOf, copyToken)
  local before, distinct, ready, blockedBy, missingIn, others = {}, 1, 0, {}, {}, {}
  for i = 1, #entries do
    local keys, isReady, more = keysOf[i], true, 0
    if not keys then break end
    for n = 1, #keys do
      local other = keys[n]
      if other ~= key then
        local rank = call('ZRANK', own .. 'lane:' .. other, entries[i][1])
        if not before[other] then more = more + 1 end
        if rank ~= (before[other] or 0) then
          isReady = false
          if i == 1 then
            local list = rank and blockedBy or missingIn
            list[#list + 1] = other
          end
        end
      end
    end
    if not isReady or distinct + more > ${JOINT_RUN_KEYS_MAX} then break end
    for n = 1, #keys do before[keys[n]] = (before[keys[n]] or 0) + 1 end
    distinct, ready = distinct + more, i
  end
  before[key] = nil
  for other in pairs(before) do others[#others + 1] = otherKey(other) end
  local lost = call('HGET', own .. 'copy:' .. key, '${LOST_FIELD}') == copyToken and 1 or 0
  return { ready, blockedBy, missingIn, lost, others }
end
`;
