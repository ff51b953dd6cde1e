/**
 * `npm run image`: builds the Dockerfile's image and tries a worker in it, with docker where an engine runs, else with buildah. Exit code 1:
 * something is otherwise than docs/deployment.md says; 2: neither of them is here.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runMain, say } from '../../scripts/setup-error.mjs';
import { commandLine, usageError } from '../support/command-line.ts';
import { Buildah, buildahWorks } from './buildah.ts';
import { Docker, dockerWorks } from './docker.ts';
import { tryImage } from './trial.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const USAGE = `npm run image
  Needs a Docker engine; or, on Debian and as root, buildah and debootstrap: apt-get install buildah debootstrap`;

commandLine(USAGE, {});
const engine = dockerWorks()
  ? new Docker(ROOT)
  : buildahWorks()
    ? new Buildah(ROOT)
    : usageError(`there is nothing here that builds images.\n\n${USAGE}`);

await runMain(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'toril-image-trial-'));
  say(`with ${engine.name}`);
  try {
    const begunMs = performance.now();
    await engine.build();
    console.log(`built in ${Math.round((performance.now() - begunMs) / 1000)} s`);
    await tryImage(engine, folder, (what) => console.log(what));
    for (const limit of engine.limits) console.log(`NOT SHOWN: ${limit}`);
    return 0;
  } finally {
    engine.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});
