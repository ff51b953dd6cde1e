/**
 * Pages of the documentation whose code is run. A page has files (`ts`, `js`, `jsonl` blocks whose first line is a
 * comment with the file's name) and commands (`console` blocks) with what they print.
 */

/** A fenced block. */
export interface Block {
  readonly language: string;
  readonly text: string;
}

export interface Command {
  readonly line: string;
  /** What the page says that it prints; `...` is any number of lines. */
  readonly shown: readonly string[];
}

export type Step =
  | { readonly kind: 'file'; readonly name: string; readonly content: string }
  | ({ readonly kind: 'command' } & Command);

export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(\S*)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
    language,
    text,
  }));
}

/** The name in the first line, and what follows it. */
export function namedFile({ text }: Block): { name: string; content: string } | undefined {
  const [, name, content = ''] = /^\/\/ (\S+\.\w+)\n([\s\S]*)$/.exec(text) ?? [];
  return name === undefined ? undefined : { name, content };
}

export function commandsOf({ text }: Block): Command[] {
  return [...text.matchAll(/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm)].map(([, line = '', shown = '']) => ({
    line,
    shown: shown.split('\n').slice(0, -1),
  }));
}

/** In the page's order. Blocks without a name, and those of other languages, are nobody's. */
export function stepsOf(page: string): Step[] {
  return blocksOf(page).flatMap((block): Step[] => {
    if (block.language === 'console')
      return commandsOf(block).map((command) => ({ kind: 'command', ...command }));
    const file = namedFile(block);
    return file === undefined ? [] : [{ kind: 'file', ...file }];
  });
}

/** Tokens and times are other ones each time, and which key's turn it was. */
function steady(line: string): string {
  return line
    .replaceAll(/\d{12,}/g, 'N')
    .replaceAll(/\bline \d+/g, 'line N')
    .replaceAll(/\b[\d.]+ m?s ago/g, 'N ago')
    .trimEnd();
}

/** Whether `printed` is what the page has. */
export function isAsShown(printed: readonly string[], shown: readonly string[]): boolean {
  const [first, ...rest] = shown;
  if (first === undefined) return printed.length === 0;
  if (first === '...') {
    return printed.some((_, at) => isAsShown(printed.slice(at), rest)) || isAsShown([], rest);
  }
  const [line, ...others] = printed;
  return line !== undefined && steady(line) === steady(first) && isAsShown(others, rest);
}
