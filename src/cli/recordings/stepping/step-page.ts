/** The steps of a key as one HTML file that needs neither a server nor anything else. */
import { hash } from 'node:crypto';
import type { KeySteps } from '../../../history/stepping/key-steps.ts';
import { PAGE_SCRIPT } from './page-script.ts';

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 1.5rem; }
pre, .value { font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.values { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.value { border: 1px solid #8884; padding: .5rem; min-height: 4rem; }
.removed { background: #f003; } .added { background: #0a03; }
.differs { color: #d00; font-weight: bold; } .not-checked { color: #a60; }
form { display: inline-block; margin: 0 1rem .5rem 0; } #at { width: 100%; } #said { min-height: 1.5em; }
`;

/** What the reader types as a condition is run ('unsafe-eval'); of the recording, nothing is. */
export function stepPage(all: KeySteps): string {
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash('sha256', PAGE_SCRIPT, 'base64')}' 'unsafe-eval'`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escaped(all.key)}: ${all.steps.length} jobs</title>
<style>${STYLE}</style>
<h1>${escaped(all.key)}</h1>
<p>${all.steps.length} jobs of ${escaped(all.queue)}, with the updates as they were when this page was made.</p>
<p><button id="first">first</button> <button id="back">back</button> <button id="next">next</button> <button id="last">last</button>
<span id="place"></span> <small>(arrow keys do, too)</small><br><input id="at" type="range" min="0" aria-label="place"></p>
<form id="to-job"><label>job <input id="id" size="10"></label> <button>go</button></form>
<form id="until"><label>until <input id="condition" size="30" placeholder="value.cents &lt; 0"></label> <button>search</button></form>
<div id="said" role="status"></div>
<h2 id="job"></h2>
<p id="end"></p>
<pre id="data"></pre>
<div class="values"><div>before<div id="before" class="value"></div></div><div>after<div id="after" class="value"></div></div></div>
<p id="commit"></p>
<script id="steps" type="application/json">${asData(all)}</script>
<script>${PAGE_SCRIPT}</script>
</html>
`;
}

/** JSON in which no tag can begin or end. */
function asData(all: KeySteps): string {
  return JSON.stringify(all).replaceAll('<', '\\u003c');
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
