/** What `npm test`, `npm run demo` and the like have in common. */
import { runChild } from './child.mjs';
import { compile } from './compile.mjs';
import { installDependencies } from './install.mjs';
import { ROOT } from './root.mjs';
import { getServers } from './servers.mjs';

/**
 * Runs a command with everything that it needs, and stops the servers started for it.
 * @param {{ servers: boolean, build: boolean, command: string[] }} what
 * @returns {Promise<number>} the command's exit code
 */
export async function run({ servers, build, command }) {
  await installDependencies(ROOT);
  if (build) await compile(ROOT, { always: false });
  if (!servers) return runChild(ROOT, command);
  const got = await getServers();
  try {
    return await runChild(ROOT, command, got.env);
  } finally {
    await got.stop();
  }
}
