/** A file that is there as a whole, or not at all: it is written beside its place, and put there at the end. */
import { constants } from 'node:fs';
import { copyFile, type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { systemRandom } from '../../base/random.ts';
import { messageOf, TorilError } from '../../errors.ts';

/** Characters gathered for one write. */
const WRITE_CHARACTERS = 256 * 1024;
const zipped = promisify(gzip);

/** Ends with `put` or `abandon`. A name that ends with `.gz` makes it a compressed file. */
export class WholeFile {
  readonly #file: string;
  readonly #path: string;
  readonly #handle: FileHandle;
  /** Undefined: it is a device or a pipe, which nothing can take the place of. */
  readonly #temporary: string | undefined;
  /** A copy of what was there before, while there is one. */
  #kept: string | undefined;
  #text = '';
  #isOpen = true;

  private constructor(
    file: string,
    path: string,
    handle: FileHandle,
    temporary: string | undefined,
  ) {
    this.#file = file;
    this.#path = path;
    this.#handle = handle;
    this.#temporary = temporary;
  }

  /** @throws TorilError FILE_NOT_WRITTEN, as all methods but `abandon` */
  static async begin(file: string): Promise<WholeFile> {
    // A link stays one: what it points to is replaced.
    const path = await realpath(file).catch(() => file);
    const found = await stat(path).catch(() => undefined);
    const isReplaced = found === undefined || found.isFile();
    const temporary = isReplaced ? `${path}.${systemRandom.id()}.partial` : undefined;
    const handle = await orNotWritten(file, () => open(temporary ?? path, 'w'));
    return new WholeFile(file, path, handle, temporary);
  }

  /** Where its content is until it is put in its place. */
  get partial(): string {
    return this.#temporary ?? this.#path;
  }

  /** A promise now and then: wait for it before the next. */
  write(text: string): void | Promise<void> {
    this.#text += text;
    return this.#text.length < WRITE_CHARACTERS ? undefined : this.#flush();
  }

  /** All of it is on the disk, beside its place. */
  async finish(): Promise<void> {
    if (!this.#isOpen) return;
    await this.#flush();
    await orNotWritten(this.#file, async () => {
      if (this.#temporary !== undefined) await this.#handle.sync();
      await this.#close();
    });
  }

  async put(): Promise<void> {
    await this.finish();
    const temporary = this.#temporary;
    if (temporary === undefined) return;
    await orNotWritten(this.#file, () => rename(temporary, this.#path));
  }

  /** Leaves nothing of it, and what was there before. Never rejects. */
  async abandon(): Promise<void> {
    await this.#close().catch(() => undefined);
    if (this.#temporary !== undefined) {
      await rm(this.#temporary, { force: true }).catch(() => undefined);
    }
  }

  /** What is there now can come back. */
  async keep(): Promise<void> {
    const found = await stat(this.#path).catch(() => undefined);
    if (found?.isFile() !== true) return;
    const kept = `${this.#path}.${systemRandom.id()}.partial`;
    this.#kept = kept;
    // It may share its blocks with the other, if the file system can do that.
    await orNotWritten(this.#file, () => copyFile(this.#path, kept, constants.COPYFILE_FICLONE));
  }

  /** After `put`: what was there before is there again. */
  async restore(): Promise<void> {
    const kept = this.#kept;
    if (kept === undefined) return rm(this.#path, { force: true });
    this.#kept = undefined; // it stays if it cannot be moved
    try {
      await rename(kept, this.#path);
    } catch (cause) {
      throw new TorilError(
        'FILE_NOT_WRITTEN',
        `${this.#file} was replaced and cannot be put back (${messageOf(cause)}). What it was is in ${kept}.`,
        { cause },
      );
    }
  }

  /** What was there before is of no more use. Never rejects. */
  async forget(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined) await rm(kept, { force: true }).catch(() => undefined);
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#handle.close();
  }

  async #flush(): Promise<void> {
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    await orNotWritten(this.#file, async () => {
      // Parts that were compressed one by one are one compressed file.
      const bytes = this.#file.endsWith('.gz') ? await zipped(text) : Buffer.from(text);
      let written = 0;
      while (written < bytes.length) {
        written += (await this.#handle.write(bytes, written)).bytesWritten;
      }
    });
  }
}

/**
 * All of them are in their places, or none, and what was there before is there again. (A process that is killed
 * between two of them leaves one, and the copy of the other.)
 * @throws TorilError FILE_NOT_WRITTEN
 */
export async function putAll(files: readonly WholeFile[]): Promise<void> {
  const put: WholeFile[] = [];
  try {
    for (const file of files) await file.keep();
    for (const file of files) {
      await file.put();
      put.push(file);
    }
  } catch (thrown) {
    for (const file of put) await file.restore();
    throw thrown;
  } finally {
    for (const file of files) await file.forget();
  }
}

export async function orNotWritten<T>(file: string, write: () => Promise<T>): Promise<T> {
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
