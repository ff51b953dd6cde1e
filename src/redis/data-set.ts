/**
 * Which Redis data set a queue's state lies in. Two of them (two servers, two `db` numbers, production and
 * staging) may share a memcached, and a Redis may be emptied or replaced while workers run: each cell says
 * whose commit it holds, since each data set took the other's commits for its own predecessors'.
 */
export interface DataSet {
  /** Random. Empty: there is none yet. */
  readonly id: string;
  /** When it was made, by its own clock: in microseconds, as tokens are. */
  readonly madeAt: number;
}

/** As it stands in Redis, and as scripts tell it: the id, and when it was made. */
export function readDataSet(text: string): DataSet {
  const [id = '', madeAt = '0'] = text.split(' ');
  return { id, madeAt: Number(madeAt) };
}

/**
 * A fragment behind SEQUENCE_LUA, which has read it along with the counter: its text, made by the first
 * script that asks. `candidate` is random, and comes from the caller: scripts have no chance of their own.
 */
export const DATA_SET_LUA = `
local function dataSetOr(candidate)
  if not dataSet then
    dataSet = candidate .. ' ' .. string.format('%.0f', nowMicros)
    redis.call('SET', dataSetKey, dataSet)
  end
  return dataSet
end
`;
