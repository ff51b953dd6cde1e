import type { JointNote } from '../../../../history/history.ts';
import { encodeOrigin, HISTORY_JOINT_KEY, RECORD_LUA, SINCE_CHECKPOINT_LUA } from '../history.ts';
import type { Packed, Packing } from '../packing.ts';

/** The note of a joint commit, as ACKNOWLEDGE_JOINT takes it. */
export type JointNoteArguments = [
  lengthMax: string,
  /** Milliseconds; '0': for ever. */
  ageMs: string,
  checkpointEvery: number,
  /** In the order of the commit's keys: hash, origin as of a single note, and whether the value is short. */
  keys: readonly (readonly [hash: string, origin: Packed, isShort: 0 | 1])[],
  jobs: readonly (readonly [id: string, sequence: string, attempt: number, places: string])[],
];

/**
 * A fragment for ACKNOWLEDGE_JOINT, behind what RECORD_LUA needs: an entry for each key of a commit, one behind the other.
 * The first one has the jobs. A replay can fold it only if it knows the values of all its keys, so it stands with each of
 * them as with the one whose checkpoint is the oldest; where that is too long ago, all values are written down.
 */
export const RECORD_JOINT_LUA: string = `${RECORD_LUA}${SINCE_CHECKPOINT_LUA}
local function jointJobs(jobs, decisions)
  local text, isComplete = {}, true
  for i = 1, #jobs do
    local jobId, sequence, attempt, places = unpack(jobs[i])
    if not addJob(text, jobId, sequence, attempt, decisions[jobId], ',' .. places) then isComplete = false end
  end
  return table.concat(text), isComplete
end

local function isOlder(id, than)
  local ms, number = string.match(id, '^(%d+)-(%d+)$')
  local thanMs, thanNumber = string.match(than, '^(%d+)-(%d+)$')
  if ms == thanMs then return tonumber(number) < tonumber(thanNumber) end
  return tonumber(ms) < tonumber(thanMs)
end

-- Commits since all values were known, -1 if one is not, and the oldest checkpoint, nil if all of them begin here.
local function jointStanding(keys, origins)
  local since, oldest = 0, nil
  for i = 1, #keys do
    if origins[i] == '=' then
      local stands = redis.call('HGET', own .. 'copy:' .. keys[i][1], 'h')
      local its = tonumber(sinceCheckpoint(stands, keys[i][2]))
      if its < 0 then return -1, nil end
      local checkpoint = string.match(stands, '%S+$')
      if not oldest or isOlder(checkpoint, oldest) then oldest = checkpoint end
      since = math.max(since, its)
    end
  end
  return since, oldest
end

local function recordJoint(token, keys, decisions, note)
  local lengthMax, ageMs, every, states, jobs = unpack(note)
  local text, isComplete = jointJobs(jobs, decisions)
  local names, origins, areShort = {}, {}, true
  for i = 1, #keys do
    names[i], origins[i] = keys[i][1], unpacked(states[i][2])
    if states[i][3] == 0 then areShort = false end
  end
  local since, oldest = 0, nil
  if not areShort then since, oldest = jointStanding(keys, origins) end
  local isDue = not isComplete or since < 0 or since + 1 >= every
  local head = nil
  for i = 1, #keys do
    local key, base, watermark, value = unpack(keys[i], 1, 4)
    local hash, _, isShort = unpack(states[i])
    value = unpacked(value)
    local fields = { 'k', key, 't', token, 'b', base, 'w', watermark, 'h', hash, 's', '1', 'm', head or cjson.encode(names) }
    if not head then fields[#fields + 1] = 'j'; fields[#fields + 1] = text end
    if origins[i] ~= '=' then fields[#fields + 1] = 'o'; fields[#fields + 1] = origins[i] end
    local isFull = string.sub(value, 1, 1) == '+' and (isDue or isShort == 1)
    if isFull then fields[#fields + 1] = 'v'; fields[#fields + 1] = string.sub(value, 2) end
    local id = addEntry(fields, lengthMax, ageMs)
    head = head or id
    local stands = ' 0 ' .. id
    if not isFull and hash ~= '-' then stands = string.format(' %.0f ', since + 1) .. (oldest or head) end
    redis.call('HSET', own .. 'copy:' .. key, 'h', token .. stands)
  end
  redis.call('SET', own .. '${HISTORY_JOINT_KEY}', '1')
end
`;

export function jointNoteArguments(note: JointNote, packing: Packing): JointNoteArguments {
  const { keys, jobs, checkpointEvery, lengthMax, ageMs } = note;
  return [
    String(lengthMax),
    String(ageMs),
    checkpointEvery,
    keys.map(({ origin, hash, isShort }) => [
      hash,
      packing.text(encodeOrigin(origin)),
      isShort ? 1 : 0,
    ]),
    jobs.map(({ jobId, sequence, attempt, places }) => [
      jobId,
      String(sequence),
      attempt,
      JSON.stringify(places),
    ]),
  ];
}
