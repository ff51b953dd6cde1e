/** What goes on, on standard error: the result alone goes to standard output. */

export interface Progress {
  /** A line that stays. */
  say(line: string): void;
  /** What is going on right now; replaced by the next one on a terminal, left out elsewhere. */
  now(line: string): void;
}

const ERASE_LINE = '\r\u001b[2K';

/** @param speaker whose words they are */
export function progressOn(stream: NodeJS.WriteStream, speaker: string): Progress {
  const live = stream.isTTY;
  return {
    say: (line) => void stream.write(`${live ? ERASE_LINE : ''}${speaker}: ${line}\n`),
    now(line) {
      const room = (stream.columns ?? 80) - speaker.length - 4;
      if (live) stream.write(`${ERASE_LINE}${speaker}: ${line.slice(0, room)}`);
    },
  };
}
