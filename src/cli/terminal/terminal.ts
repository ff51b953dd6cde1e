/** Writing for people and for programs: results to standard output, everything else to standard error. */
import Table from 'cli-table3';
import pc from 'picocolors';
import { grouped } from '../../base/grouped.ts';
import { EXIT } from './exit-codes.ts';

export { grouped };

type Colours = ReturnType<typeof pc.createColors>;

/** Colours of the two streams; plain where a stream is no terminal, or NO_COLOR is set. */
export const colours: { readonly out: Colours; readonly err: Colours } = {
  out: pc.createColors(isColourful(process.stdout)),
  err: pc.createColors(isColourful(process.stderr)),
};

function isColourful(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, TERM } = process.env;
  // `undefined` would leave the choice to picocolors, which takes CI for a terminal.
  return stream.isTTY === true && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb';
}

/** One line of the result. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One JSON object per line. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** One line beside the result: progress, warnings, errors. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function warn(text: string): void {
  note(`${colours.err.yellow('warning')}: ${text}`);
}

type Cell = string | number;

/** Columns of numbers are aligned to the right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const isNumeric = (column: number): boolean =>
    rows.length > 0 && rows.every((row) => typeof row[column] === 'number');
  const drawn = new Table({
    head: head.map((title) => colours.out.bold(title)),
    colAligns: head.map((_, column) => (isNumeric(column) ? 'right' : 'left')),
    // The library's own colours do not ask whether there is a terminal.
    style: { head: [], border: [], compact: true },
  });
  drawn.push(...rows.map((row) => row.map(shown)));
  return drawn.toString();
}

/** Somebody else's text (a key, an id): what would move the cursor, turn the text round or begin a line becomes a blank. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ');
}

/** Two columns: what it is, and what it says. */
export function sheet(rows: readonly (readonly [string, Cell])[]): string {
  const drawn = new Table({ style: { head: [], border: [], compact: true } });
  drawn.push(...rows.map(([name, value]) => [colours.out.bold(name), shown(value)]));
  return drawn.toString();
}

function shown(cell: Cell): string {
  return typeof cell === 'number' ? grouped(cell) : cell;
}

/** `toril ... | head -1` is no error: end without a word, as a process without a handler would. */
export function endWithTheReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(EXIT.pipe);
      if (stream === process.stdout) note(`error FILE_NOT_WRITTEN: ${error.message}`);
      process.exit(EXIT.usage); // the disk is full, for example
    });
  }
}

/** Resolves once everything printed so far has left this process. */
export function flushed(): Promise<void> {
  return new Promise((resolve) => process.stdout.write('', () => resolve()));
}
