/** A fault of the machine's set-up. Its message says what to do, so it is shown without a stack. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError';
}

/**
 * Runs a script's main function and makes its answer the exit code.
 * @param {() => Promise<number>} main
 */
export async function runMain(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`\ntoril: ${error.message}`);
    process.exitCode = 1;
  }
}

/** Progress of the set-up goes to stderr: stdout belongs to the command that is run. @param {string} line */
export function say(line) {
  process.stderr.write(`toril: ${line}\n`);
}
