/** The last step of `npm run build`, behind the compiler: what is published, and whether it is a sound package. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { finishDist } from './finish-dist.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

await finishDist(ROOT, join(ROOT, 'dist'));
const { messages, pkg } = await publint({ pkgDir: ROOT, strict: true });
for (const message of messages) console.log(formatMessage(message, pkg));
if (messages.length > 0) process.exitCode = 1;
