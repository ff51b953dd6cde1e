/** Signing in, and what went wrong. */
import { word } from './foreign-text.ts';
import { type Frame, page } from './frame.ts';
import { html, type Html } from './html.ts';

/** @param wasWrong the token that was just given */
export function signInPage(frame: Frame, wasWrong: boolean): Html {
  return page(
    frame,
    'Sign in',
    html`<div class="card"><h1>Sign in</h1>
${wasWrong ? html`<p class="notice bad" role="alert">Nobody has this token.</p>` : ''}
<form method="post" action="${frame.links.signIn()}">
<label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
<p class="row"><button class="main-button">Sign in</button></p>
</form>
<p class="soft">The address that <code>toril ui</code> prints has the token in it.</p></div>`,
  );
}

export interface Trouble {
  readonly title: string;
  readonly code: string;
  readonly message: string;
}

export function troublePage(frame: Frame, { title, code, message }: Trouble): Html {
  return page(
    frame,
    title,
    html`<div class="card"><h1>${title}</h1>
<p class="notice bad" role="alert"><strong>${word(code, 60)}</strong>: ${word(message, 800)}</p>
${frame.visitor === undefined ? '' : html`<p><a href="${frame.links.lanes(frame.queue ?? frame.queues[0] ?? '')}">All keys</a></p>`}</div>`,
  );
}
