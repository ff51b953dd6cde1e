/**
 * Text that users wrote (keys, ids, values, reasons), as it may stand in a page. Escaping keeps it from being HTML; here
 * it is kept from misleading the reader. U+202E turns the rest of a line around, so that `drop` seems to name another
 * key; a line break or a zero-width space makes two keys look the same. All of them are shown as their code points.
 */
import { html, joined, type Html } from './html.ts';

/** Control and format characters, and what is no character at all; not the joiner of emoji, nor plain spaces. */
const MISLEADING = /[\p{Cc}\p{Cs}\p{Co}\p{Zl}\p{Zp}]|(?!\u200d)\p{Cf}/gu;
/** In a text of several lines, line breaks and tabs are what they seem. */
const MISLEADING_IN_LINES = /(?![\n\t])[\p{Cc}\p{Cs}\p{Co}\p{Zl}\p{Zp}]|(?!\u200d)\p{Cf}/gu;

/** On one line, cut after so many characters, isolated from the direction of what stands around it. */
export function word(text: string, charactersMax = 120): Html {
  const short = cut(text, charactersMax);
  const rest = short.length < text.length ? html`<span class="cut">…</span>` : '';
  return html`<bdi>${visible(short, MISLEADING)}${rest}</bdi>`;
}

/** Several lines, for a `<pre>`. */
export function lines(text: string): Html {
  return visible(text, MISLEADING_IN_LINES);
}

/** Without markup, for titles and attributes. */
export function plain(text: string, charactersMax = 120): string {
  const short = cut(text, charactersMax).replaceAll(MISLEADING, codePoint);
  return short + (charactersOver(text, charactersMax) ? '…' : '');
}

/** Cut between code points, never within one. */
export function cut(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text;
  const end = isHighSurrogate(text.charCodeAt(charactersMax - 1))
    ? charactersMax - 1
    : charactersMax;
  return text.slice(0, end);
}

function charactersOver(text: string, charactersMax: number): boolean {
  return text.length > charactersMax;
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}

function visible(text: string, misleading: RegExp): Html {
  const parts: Html[] = [];
  let from = 0;
  for (const match of text.matchAll(misleading)) {
    parts.push(
      html`${text.slice(from, match.index)}<span class="code-point">${codePoint(match[0])}</span>`,
    );
    from = match.index + match[0].length;
  }
  return joined([...parts, html`${text.slice(from)}`]);
}

function codePoint(character: string): string {
  const digits = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return `U+${digits}`;
}
