/**
 * `npm run twins`: takes one guard after the other away, and expects that something notices. Exit
 * code 1 if a twin passes for sound. `--only NAME,NAME` some of them; `--list`; `--write-docs` writes
 * the table into docs/twins.md.
 */
import { writeDocs } from './docs.ts';
import { writePromises } from './promises.ts';
import { type Catch, hunt } from './hunt.ts';
import { copiedTree } from './tree.ts';
import type { Twin } from './twin.ts';
import { TWINS } from './twins.ts';
import { commandLine, usageError } from '../support/command-line.ts';

const USAGE = `npm run twins [-- --only NAME,NAME] [--write-docs] [--processes P]
  --only       some of the twins
  --list       names them, and does nothing
  --write-docs writes the table into docs/twins.md
  --write-promises writes what keeps each promise into docs/design.md, and does nothing else`;

const values = commandLine(USAGE, {
  only: { type: 'string' },
  list: { type: 'boolean', default: false },
  'write-docs': { type: 'boolean', default: false },
  'write-promises': { type: 'boolean', default: false },
  processes: { type: 'string', default: '2' },
});

const twins = chosen(values.only);
if (values.list) for (const { name, guard } of twins) console.log(`${name.padEnd(28)} ${guard}`);
else if (values['write-promises']) writePromises(TWINS);
else process.exitCode = await huntAll();

async function huntAll(): Promise<number> {
  const waiting = [...twins];
  const catches: Catch[] = [];
  const hunter = async (): Promise<void> => {
    const tree = copiedTree();
    try {
      for (let twin = waiting.shift(); twin !== undefined; twin = waiting.shift()) {
        const result = await hunt(twin, tree);
        catches.push(result);
        tell(result);
      }
    } finally {
      tree.remove();
    }
  };
  await Promise.all(Array.from({ length: Number(values.processes) }, hunter));
  const missed = catches.filter(({ caught }) => !caught).map(({ twin }) => twin.name);
  console.log(
    `${catches.length} twins: ${missed.length === 0 ? 'all caught' : `${missed.length} NOT CAUGHT (${missed.join(', ')})`}`,
  );
  if (values['write-docs']) writeDocs(catches, TWINS);
  return missed.length === 0 ? 0 : 1;
}

function tell({ twin, caught, by, verdict, seconds }: Catch): void {
  const mark = caught ? 'caught    ' : 'NOT CAUGHT';
  console.log(`${mark} ${twin.name.padEnd(28)} ${by}, ${seconds.toFixed(1)} s: ${verdict}`);
}

function chosen(only: string | undefined): readonly Twin[] {
  if (only === undefined) return TWINS;
  return only.split(',').map((name) => {
    const twin = TWINS.find((one) => one.name === name);
    if (twin === undefined) usageError(`no twin "${name}"; --list names them`);
    return twin;
  });
}
