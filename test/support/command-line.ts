/** What stands on the command line of the proof's commands: bad words end them at once, and say why. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

const USAGE_EXIT_CODE = 2;

type Options = NonNullable<ParseArgsConfig['options']>;
type Values<Given extends Options> = ReturnType<typeof parseArgs<{ options: Given }>>['values'];

/** @param usage told for `--help`, and behind what is wrong with the words */
export function commandLine<const Given extends Options>(
  usage: string,
  options: Given,
): Values<Given> {
  if (process.argv.includes('--help')) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs({ options }).values;
  } catch (thrown) {
    return usageError(`${(thrown as Error).message}\n\n${usage}`);
  }
}

/** Before anything is begun: nothing needs to be cleaned up. */
export function usageError(message: string): never {
  console.error(message);
  process.exit(USAGE_EXIT_CODE);
}
