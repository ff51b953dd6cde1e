/** `npm run build`: compiles src to dist and checks the result as a package that others install. */
import { runChild } from './child.mjs';
import { compile } from './compile.mjs';
import { installDependencies } from './install.mjs';
import { ROOT } from './root.mjs';
import { runMain } from './setup-error.mjs';

await runMain(async () => {
  await installDependencies(ROOT);
  await compile(ROOT, { always: true });
  return runChild(ROOT, ['publint']);
});
