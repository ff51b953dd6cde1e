/** `toril doctor`: whether servers, workers and lanes are as they should be, and what to do if not. */
import type { Command } from 'commander';
import { systemClock } from '../../../base/clock.ts';
import { messageOf } from '../../../errors.ts';
import { installedBullMQ } from '../../../jobs/bullmq/state/known-bullmq.ts';
import type { Queue } from '../../../jobs/queue.ts';
import type { MemcachedServers } from '../../../memcached/servers.ts';
import { bad, type Finding } from '../../doctor/finding.ts';
import { laneFindings, workerFindings } from '../../doctor/fleet-findings.ts';
import { listFinding, memcachedFinding } from '../../doctor/memcached-findings.ts';
import {
  accessFinding,
  clockFinding,
  infoOf,
  redisFindings,
  versionFindings,
} from '../../doctor/redis-findings.ts';
import { addJsonFlag, addServerFlags, type ServerFlags } from '../../flags/flags.ts';
import { asking, closeQuietly, openExistingQueue } from '../../servers/connections.ts';
import { isForbidden, redisAdvice } from '../../servers/redis-advice.ts';
import { openMemcached } from '../../servers/memcached.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { isTorilError } from '../../terminal/failure.ts';
import { colours, plain, print, printJson } from '../../terminal/terminal.ts';

interface DoctorFlags extends ServerFlags {
  readonly json?: boolean;
}

/** Lanes that are looked at for jobs that are gone. */
const LANES_LOOKED_AT = 500;

const EXAMPLES = `
Looks and changes nothing. Exit code 0 if nothing is bad, 1 if something is, 3 if Redis or a memcached
cannot be used.

Examples:
  toril doctor --queue accounts
  toril doctor --queue accounts --json`;

export function addDoctorCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('doctor')
    .description('check servers, workers and lanes of a queue, and say what to do');
  addJsonFlag(addServerFlags(command))
    .addHelpText('after', EXAMPLES)
    .action(async (flags: DoctorFlags) => {
      exitWith(await doctor(flags));
    });
}

async function doctor(flags: DoctorFlags): Promise<number> {
  const servers = openMemcached(flags);
  try {
    const versions = versionFindings(process.versions.node, installedBullMQ());
    const memcached = await Promise.all(servers.all.map(memcachedFinding));
    const redis = await ofRedis(flags, servers);
    const findings = [...versions, ...redis, ...memcached];
    for (const finding of findings) tell(finding, flags.json === true);
    const badOnes = findings.filter(({ verdict }) => verdict === 'bad');
    if (badOnes.some(({ check }) => check === 'redis' || check.startsWith('memcached ')))
      return EXIT.server;
    return badOnes.length > 0 ? EXIT.checkFailed : EXIT.done;
  } finally {
    await closeQuietly(servers);
  }
}

/** A Redis that cannot be used is a finding; a queue that is not there ends the command. */
async function ofRedis(flags: DoctorFlags, servers: MemcachedServers): Promise<Finding[]> {
  let queue: Queue;
  try {
    queue = await openExistingQueue(flags);
  } catch (thrown) {
    if (!isTorilError(thrown) || thrown.code !== 'REDIS_FAILED') throw thrown;
    const advice = redisAdvice(thrown);
    return [bad('redis', messageOf(thrown).replace(` ${advice}`, ''), advice)];
  }
  try {
    const beganMs = systemClock.wallMs();
    const [info, nowMs] = await asking(queue.inRedis.upkeep.aboutRedis());
    const aheadMs = Math.round((beganMs + systemClock.wallMs()) / 2 - nowMs);
    const [forbidden, registered, workers, clients, counts, page] = await asking(
      Promise.all([
        queue.inRedis.upkeep.forbidden(),
        queue.inRedis.servers.read(),
        queue.inRedis.workers.all(),
        clientsOf(queue),
        queue.laneCounts(),
        queue.lanes({ limit: LANES_LOOKED_AT }),
      ]),
    );
    return [
      ...redisFindings(infoOf(info)),
      accessFinding(forbidden),
      clockFinding(aheadMs),
      listFinding(registered, servers.fingerprint),
      ...workerFindings(workers, clients),
      ...laneFindings(counts, page.lanes),
    ];
  } finally {
    await closeQuietly(queue);
  }
}

/** Undefined where Redis does not let us list its clients, as many that somebody else runs do not. */
async function clientsOf(queue: Queue): Promise<number | undefined> {
  try {
    return await queue.getWorkersCount();
  } catch (thrown) {
    if (isForbidden(thrown)) return undefined;
    throw thrown;
  }
}

function tell(finding: Finding, isJson: boolean): void {
  if (isJson) return printJson(finding);
  const { check, verdict, says, advice } = finding;
  const { green, yellow, red } = colours.out;
  const mark = { good: green('good  '), unsure: yellow('unsure'), bad: red('bad   ') }[verdict];
  print(`${mark} ${check}: ${plain(says)}${advice === '' ? '' : `\n       ${advice}`}`);
}
