/** What every page has around it. */
import type { Visitor } from '../options.ts';
import type { Links } from '../links.ts';
import { ASSETS } from './assets/assets.ts';
import { plain, word } from './foreign-text.ts';
import { html, NOTHING, type Html } from './html.ts';

export interface Frame {
  readonly links: Links;
  /** Qualified names. */
  readonly queues: readonly string[];
  /** The queue of this page. */
  readonly queue: string | undefined;
  readonly visitor: Visitor | undefined;
  /** Undefined: the host lets people in, so it lets them out. */
  readonly signOutToken: string | undefined;
  /** Which of the tabs this is. */
  readonly tab: 'lanes' | 'audit' | undefined;
}

/** @param title somebody else's text is made harmless here */
export function page(frame: Frame, title: string, body: Html): Html {
  const { links } = frame;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${plain(title, 60)} · Toril</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${links.asset(ASSETS.style.name)}">
<script type="module" src="${links.asset(ASSETS.script.name)}"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<p class="brand"><a href="${home(frame)}">Toril</a></p>
${queueNavigation(frame)}
${whoIsHere(frame)}
</header>
<main id="main" tabindex="-1">
${body}
</main>
</body>
</html>
`;
}

function home({ links, queues, queue }: Frame): string {
  return links.lanes(queue ?? queues[0] ?? '');
}

function queueNavigation({ links, queues, queue, visitor, tab }: Frame): Html {
  if (visitor === undefined) return NOTHING;
  return html`<nav aria-label="Queues"><ul>
${queues.map(
  (name) =>
    html`<li><a href="${links.lanes(name)}"${current(name === queue && tab === 'lanes')}>${word(name, 40)}</a></li>`,
)}
${queue === undefined ? '' : html`<li><a href="${links.audit(queue)}"${current(tab === 'audit')}>Audit</a></li>`}
</ul></nav>`;
}

function whoIsHere({ links, visitor, signOutToken }: Frame): Html {
  if (visitor === undefined) return NOTHING;
  const may = visitor.may === 'write' ? 'may act' : 'may read';
  return html`<div class="visitor"><span>${word(visitor.who, 40)}, ${may}</span>
${
  signOutToken === undefined
    ? ''
    : html`<form method="post" action="${links.signOut()}"><input type="hidden" name="form" value="${signOutToken}"><button class="quiet">Sign out</button></form>`
}</div>`;
}

function current(is: boolean): Html {
  return is ? html` aria-current="page"` : NOTHING;
}
