/**
 * What runs in the browser: it keeps a part of the page up to date by server-sent events. All of the page can be read, and
 * all actions be taken, without it.
 */
export const SCRIPT = `
const live = document.getElementById('live');
const said = document.getElementById('live-said');
const toggle = document.getElementById('live-toggle');

/** What can be found again after its surroundings were replaced. */
function placeOf(element) {
  if (element === null || !live.contains(element)) return undefined;
  if (element.id !== '') return '#' + CSS.escape(element.id);
  const href = element.getAttribute('href');
  return href === null ? undefined : 'a[href="' + CSS.escape(href) + '"]';
}

function replace(text) {
  const selection = document.getSelection();
  // Whoever marks a text wants to keep it.
  if (selection !== null && !selection.isCollapsed && live.contains(selection.anchorNode)) return;
  const place = placeOf(document.activeElement);
  const open = [...live.querySelectorAll('details[open][id]')].map(({ id }) => id);
  live.innerHTML = text; // made by the server, where all foreign text is escaped
  for (const id of open) document.getElementById(id)?.setAttribute('open', '');
  if (place !== undefined) live.querySelector(place)?.focus({ preventScroll: true });
}

if (live !== null && said !== null && toggle !== null) {
  let source;
  const say = (text) => { said.textContent = text; };
  const start = () => {
    source = new EventSource(live.dataset.from);
    source.addEventListener('open', () => say('live'));
    source.addEventListener('page', (event) => { say('live'); replace(event.data); });
    source.addEventListener('trouble', (event) => say(event.data));
    source.addEventListener('error', () => {
      say(source.readyState === EventSource.CLOSED ? 'not live: load the page again' : 'connecting again');
    });
    toggle.textContent = 'Pause';
  };
  const stop = () => {
    source.close();
    source = undefined;
    say('paused');
    toggle.textContent = 'Go live';
  };
  toggle.hidden = false;
  toggle.addEventListener('click', () => (source === undefined ? start() : stop()));
  // A page that nobody sees asks for nothing.
  document.addEventListener('visibilitychange', () => {
    if (toggle.textContent !== 'Pause') return;
    if (document.hidden) source?.close();
    else start();
  });
  start();
}
`;
