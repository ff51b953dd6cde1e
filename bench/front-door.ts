/** How a command of ours begins and ends: whatever happens, what was made for it is removed. */
import { messageOf } from './compare.ts';

/** @param name what its errors begin with */
export async function enter(name: string, main: () => Promise<number>): Promise<void> {
  // An exit runs what waits for it; a signal alone would not.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => process.exit(code));
  }
  try {
    process.exitCode = await main();
  } catch (thrown) {
    const told = thrown instanceof Error ? (thrown.stack ?? thrown.message) : messageOf(thrown);
    console.error(`${name}: ${told}`);
    process.exitCode = 2;
  }
}
