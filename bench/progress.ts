/** What goes on, on standard error: the result alone goes to standard output. */

export interface Progress {
  /** A line that stays. */
  say(line: string): void;
  /** What is going on right now; replaced by the next one on a terminal, left out elsewhere. */
  now(line: string): void;
}

const ERASE_LINE = '\r\u001b[2K';

export function progressOn(stream: NodeJS.WriteStream): Progress {
  const live = stream.isTTY;
  return {
    say: (line) => void stream.write(`${live ? ERASE_LINE : ''}bench: ${line}\n`),
    now(line) {
      if (live) stream.write(`${ERASE_LINE}bench: ${line.slice(0, (stream.columns ?? 80) - 9)}`);
    },
  };
}
