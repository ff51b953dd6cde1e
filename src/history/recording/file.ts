/** Writing a recording to a file: it is there as a whole, or not at all. */
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { systemRandom } from '../../base/random.ts';
import { messageOf, TorilError } from '../../errors.ts';

/** Characters gathered for one write. */
const WRITE_CHARACTERS = 256 * 1024;

/**
 * Writes lines beside `file` and puts them in its place once the last one is on the disk. A device or
 * a pipe is written to as it is. If the lines fail, nothing is left either.
 * @returns the number of lines
 * @throws TorilError FILE_NOT_WRITTEN, or whatever `lines` throws
 */
export async function writeRecording(file: string, lines: AsyncIterable<string>): Promise<number> {
  const target = await targetOf(file);
  const handle = await orNotWritten(file, () => open(target.temporary ?? target.path, 'w'));
  try {
    const count = await writeAll(file, handle, lines);
    await orNotWritten(file, async () => {
      if (target.temporary !== undefined) await handle.sync();
      await handle.close();
      if (target.temporary !== undefined) await rename(target.temporary, target.path);
    });
    return count;
  } catch (thrown) {
    await handle.close().catch(() => undefined);
    if (target.temporary !== undefined) await rm(target.temporary, { force: true });
    throw thrown;
  }
}

interface Target {
  readonly path: string;
  /** Undefined: it is no regular file, and nothing can take its place. */
  readonly temporary: string | undefined;
}

async function targetOf(file: string): Promise<Target> {
  // A link stays one: what it points to is replaced.
  const path = await realpath(file).catch(() => file);
  const found = await stat(path).catch(() => undefined);
  const isReplaced = found === undefined || found.isFile();
  return { path, temporary: isReplaced ? `${path}.${systemRandom.id()}.partial` : undefined };
}

async function writeAll(
  file: string,
  handle: FileHandle,
  lines: AsyncIterable<string>,
): Promise<number> {
  let text = '';
  let count = 0;
  const flush = (): Promise<void> =>
    orNotWritten(file, async () => {
      const bytes = Buffer.from(text);
      text = '';
      let written = 0;
      while (written < bytes.length) written += (await handle.write(bytes, written)).bytesWritten;
    });
  for await (const line of lines) {
    text += `${line}\n`;
    count += 1;
    if (text.length >= WRITE_CHARACTERS) await flush();
  }
  await flush();
  return count;
}

async function orNotWritten<T>(file: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    throw new TorilError(
      'FILE_NOT_WRITTEN',
      `${file} cannot be written (${messageOf(cause)}). Nothing half-written is left, and what was there before still is.`,
      { cause },
    );
  }
}
