/**
 * What the index of lanes costs Redis: CPU time of its main thread per job, of the very fragment that the scripts contain, in turns
 * with one that does nothing. Jobs enter 500 at a time and leave 22 keys at a time, the oldest first, beside lanes that stay.
 * In one script each, so that nothing else is measured: whole scripts with and without it differ by more from run to run.
 *
 *   npm run bench:index
 */
import { Redis } from 'ioredis';
import { INDEX_LUA } from '../src/jobs/redis/index/lane-index.ts';
import { parseInfo } from './server-meter.ts';
import { median } from './statistics.ts';

const ROUNDS = 9;
const JOBS = 100_000;
/** As an enqueue and an acknowledgement have them. */
const JOBS_PER_CALL = 500;
const KEYS_PER_CALL = 22;

const NOTHING_LUA = `
local function noteEntered() end
local function noteHead() end
local function saveIndex() end
`;

/**
 * ARGV[1] the next job  ARGV[2] jobs to enter  ARGV[3] jobs per key  ARGV[4] the next key to leave  ARGV[5] jobs that leave with each
 * 500 that enter  ARGV[6] a prefix
 */
const steps = (index: string): string => `
local own, known = ARGV[6], { true }
local job, jobs, jobsPerKey = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local key, leaving = tonumber(ARGV[4]), tonumber(ARGV[5])
local sequence = 1796025442809841

local function enter(from, count)
  ${index}
  for n = from, from + count - 1 do
    noteEntered('account:' .. math.floor(n / jobsPerKey), string.format('%d', sequence + n))
  end
  saveIndex()
end

local function leave(from, count)
  ${index}
  for n = from, from + count - 1 do noteHead('account:' .. n, false) end
  saveIndex()
end

for from = job, job + jobs - 1, ${JOBS_PER_CALL} do
  enter(from, ${JOBS_PER_CALL})
  local last = key + leaving / jobsPerKey
  while key < last do
    local count = math.min(${KEYS_PER_CALL}, last - key)
    leave(key, count)
    key = key + count
  end
end
`;

const redis = new Redis(process.env['TORIL_REDIS'] ?? 'redis://127.0.0.1:6379');
const own = `index-cost-${process.pid}:`;

async function cpuMicros(): Promise<number> {
  const fields = parseInfo(await redis.info('cpu'));
  const names = ['used_cpu_user_main_thread', 'used_cpu_sys_main_thread'];
  return names.reduce((sum, name) => sum + Number(fields.get(name)), 0) * 1e6;
}

/** Microseconds per job. */
async function perJob(index: string, lanes: number, jobsPerKey: number): Promise<number> {
  const waiting = lanes * jobsPerKey;
  const run = (from: number, jobs: number, leaving: number): Promise<unknown> =>
    redis.eval(steps(index), 0, from, jobs, jobsPerKey, 0, leaving, own);
  await run(0, waiting, 0);
  const before = await cpuMicros();
  await run(waiting, JOBS, JOBS_PER_CALL);
  const spent = (await cpuMicros()) - before;
  await redis.del(`${own}lanes`);
  return spent / JOBS;
}

try {
  for (const lanes of [1_000, 10_000, 100_000]) {
    for (const jobsPerKey of [1, 10]) {
      const costs: number[] = [];
      for (let n = 0; n < ROUNDS; n++) {
        const nothing = await perJob(NOTHING_LUA, lanes, jobsPerKey);
        costs.push((await perJob(INDEX_LUA, lanes, jobsPerKey)) - nothing);
      }
      const spread = `${Math.min(...costs).toFixed(2)} to ${Math.max(...costs).toFixed(2)}`;
      console.log(
        `${lanes} lanes, ${jobsPerKey} jobs per key: ${median(costs).toFixed(2)} µs per job (${spread})`,
      );
    }
  }
} finally {
  await redis.del(`${own}lanes`);
  redis.disconnect();
}
