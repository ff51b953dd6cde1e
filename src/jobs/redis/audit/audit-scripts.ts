import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import type { Script } from '../scripts/script.ts';

/**
 * A stream. An act is an entry with who, what, key and job, and, if it is about several keys, all of them as JSON; its end one
 * with `of`, the act's id.
 */
const AUDIT_KEY = 'audit';

/**
 * Adds an entry, and drops the oldest ones.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] entries that are kept, about
 *   ARGV[3...] fields and values
 *   Returns its id
 */
export const ADD_TO_AUDIT: Script = {
  name: 'torilAddToAudit',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
return redis.call('XADD', own .. '${AUDIT_KEY}', 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
`,
};

/**
 * A page of acts, newest first, each with its end. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] from, as XREVRANGE takes it ("+", "(17-0")
 *   ARGV[3] '' or '=' and the only key that is wanted  ARGV[4] acts at most  ARGV[5] entries looked at at most
 *   Returns [id of the last entry looked at or '' at the end, then per act: [id, fields, fields of its end or nil]]
 */
export const READ_AUDIT: Script = {
  name: 'torilReadAudit',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local key = own .. '${AUDIT_KEY}'
local from, wanted, actsMax, seenMax = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local ends, result, seen = {}, { '' }, 0
wanted = wanted ~= '' and string.sub(wanted, 2) or nil
-- The end of an act that was under way when the page before began is not on this page.
local function laterEnd(id)
  local later = redis.call('XRANGE', key, '(' .. id, '+', 'COUNT', 200)
  for i = 1, #later do
    if later[i][2][1] == 'of' and later[i][2][2] == id then return later[i][2] end
  end
end
local function isAbout(fields)
  if fields[6] == wanted then return true end
  for _, one in ipairs(fields[9] == 'keys' and cjson.decode(fields[10]) or {}) do
    if one == wanted then return true end
  end
  return false
end
while seen < seenMax do
  local entries = redis.call('XREVRANGE', key, from, '-', 'COUNT', 100)
  for i = 1, #entries do
    local id, fields = entries[i][1], entries[i][2]
    seen = seen + 1
    if fields[1] == 'of' then
      ends[fields[2]] = fields
    elseif not wanted or isAbout(fields) then
      result[#result + 1] = { id, fields, ends[id] or laterEnd(id) }
      if #result > actsMax then
        result[1] = id
        return result
      end
    end
    from = '(' .. id
  end
  if #entries < 100 then return result end
end
result[1] = string.sub(from, 2)
return result
`,
};
