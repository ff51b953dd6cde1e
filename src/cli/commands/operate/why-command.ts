/** `toril why KEY`: why a key does not move, in one sentence, and what to do about it. */
import type { Command } from 'commander';
import { systemClock } from '../../../base/clock.ts';
import { checkKey } from '../../../key.ts';
import { refusedText } from '../../../jobs/reports/lane-past.ts';
import type { LaneReport } from '../../../jobs/reports/lane-report.ts';
import { why, type Why } from '../../../jobs/reports/why.ts';
import { LaneInspector } from '../../../workers/inspecting/inspector.ts';
import { addJsonFlag, addServerFlags, type ServerFlags } from '../../flags/flags.ts';
import { tellUnheardOf } from '../../lanes/unheard-of.ts';
import { asking, closeQuietly, openExistingQueue } from '../../servers/connections.ts';
import { openMemcached } from '../../servers/memcached.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { plain, print, printJson } from '../../terminal/terminal.ts';

interface WhyFlags extends ServerFlags {
  readonly json?: boolean;
}

const EXAMPLES = `
Exit code 0 if the key moves, or goes on by itself; 1 if somebody has to do something; 4 if nobody
has heard of the key.

Examples:
  toril why account-1 --queue accounts
  toril why account-1 --queue accounts --json`;

export function addWhyCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('why')
    .description('say in one sentence why a key does not move, and what to do')
    .argument('<key>');
  addJsonFlag(addServerFlags(command))
    .addHelpText('after', EXAMPLES)
    .action(async (key: string, flags: WhyFlags) => {
      exitWith(await sayWhy(key, flags));
    });
}

async function sayWhy(key: string, flags: WhyFlags): Promise<number> {
  checkKey(key);
  const servers = openMemcached(flags);
  const queue = await openExistingQueue(flags);
  const inspector = new LaneInspector(queue, servers, systemClock);
  try {
    const report = await asking(inspector.inspect(key));
    const said = why(report);
    if (flags.json === true) printJson(jsonOf(report, said));
    else print(textOf(report, said));
    if (tellUnheardOf(queue.name, report)) return EXIT.nothing;
    return said.advice === '' ? EXIT.done : EXIT.checkFailed;
  } finally {
    await closeQuietly(queue, inspector);
  }
}

function textOf({ key, refusedCommits }: LaneReport, { sentence, advice }: Why): string {
  const lines = [`${plain(key)}: ${sentence}`, advice, refusedText(refusedCommits)];
  return lines.filter((line) => line !== '').join('\n');
}

/** All of the report but the jobs and the value, which `toril lane` shows. */
function jsonOf(report: LaneReport, said: Why): object {
  return { ...said, ...report, jobs: undefined, copy: undefined };
}
