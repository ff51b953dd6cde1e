/** Values as text, as much of them as a page should carry. */
import { structuredPatch } from 'diff';
import { count } from './parts.ts';
import { cut, lines } from './foreign-text.ts';
import { html, type Html } from './html.ts';

/** Characters of a value on a page. */
const VALUE_MAX = 20_000;
/** Characters up to which two values are compared, and edits after which comparing gives up. */
const COMPARED_MAX = 60_000;
const EDITS_MAX = 600;
const CONTEXT_LINES = 2;

function valueText(value: unknown): string {
  return JSON.stringify(value, undefined, 2) ?? '';
}

export function valueBlock(value: unknown): Html {
  const text = valueText(value);
  const shown = cut(text, VALUE_MAX);
  const rest = text.length - shown.length;
  return html`<pre tabindex="0" role="group" aria-label="Value">${lines(shown)}</pre>
${rest > 0 ? html`<p class="soft">cut here: ${count(rest)} more characters</p>` : ''}`;
}

/** What changed from one value to the next. */
export function valueDifference(before: unknown, after: unknown): Html {
  const [from, to] = [valueText(before), valueText(after)];
  if (from === to) return html`<p class="soft">The value is the same.</p>`;
  if (from.length > COMPARED_MAX || to.length > COMPARED_MAX)
    return html`<p class="soft">Too large to be compared here.</p>`;
  const patch = structuredPatch('', '', `${from}\n`, `${to}\n`, '', '', {
    context: CONTEXT_LINES,
    maxEditLength: EDITS_MAX,
  });
  if (patch === undefined) return html`<p class="soft">Too different to be compared here.</p>`;
  return html`<pre tabindex="0" role="group" aria-label="What changed">${patch.hunks.map(({ lines: changed }, at) => html`${at > 0 ? html`<span class="soft">⋯\n</span>` : ''}${changed.map(changedLine)}`)}</pre>`;
}

function changedLine(line: string): Html {
  const text = html`${line.charAt(0)} ${lines(line.slice(1))}`;
  if (line.startsWith('+')) return html`<ins>${text}</ins>`;
  if (line.startsWith('-')) return html`<del>${text}</del>`;
  return html`<span>${text}\n</span>`;
}
