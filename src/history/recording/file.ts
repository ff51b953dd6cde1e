/** Writing a recording to a file. */
import { WholeFile } from './whole-file.ts';

/**
 * Writes lines beside `file` and puts them in its place once the last one is on the disk; compressed, if its
 * name ends with `.gz`. A device or a pipe is written to as it is. If the lines fail, nothing is left either.
 * @returns the number of lines
 * @throws TorilError FILE_NOT_WRITTEN, or whatever `lines` throws
 */
export async function writeRecording(file: string, lines: AsyncIterable<string>): Promise<number> {
  const whole = await WholeFile.begin(file);
  try {
    let count = 0;
    for await (const line of lines) {
      const writing = whole.write(`${line}\n`);
      if (writing !== undefined) await writing;
      count += 1;
    }
    await whole.put();
    return count;
  } catch (thrown) {
    await whole.abandon();
    throw thrown;
  }
}
