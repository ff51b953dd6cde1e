/** HTML by tagged templates. Whatever is put into one is escaped, unless it is HTML made here. */
import { html as tagged, raw } from '../web.ts';

/** Text that is HTML already. */
export type Html = ReturnType<typeof raw>;

/** Nothing, where something may stand. */
export const NOTHING: Html = raw('');

export function html(strings: TemplateStringsArray, ...values: readonly unknown[]): Html {
  const made = tagged(strings, ...values);
  if (made instanceof Promise) throw new TypeError('a page is put together from what is there');
  return made;
}

/** Attributes are always quoted, so the same escaping serves them. */
export function joined(parts: readonly Html[], between = ''): Html {
  return raw(parts.join(between));
}
