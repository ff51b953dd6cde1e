/**
 * What runs in a page of steps. Whatever comes out of the recording gets into the page as text only
 * (`textContent`); the only thing that is run is the condition that the reader types.
 */
export const PAGE_SCRIPT = `'use strict';
const all = JSON.parse(document.getElementById('steps').textContent);
const steps = all.steps;
const NO_VALUE = '';
const NOT_KNOWN = '?';
const by = (id) => document.getElementById(id);
const edited = (text, e) => text.slice(0, e.at) + e.inserted + text.slice(e.at + e.removed.length);
const undone = (text, e) => text.slice(0, e.at) + e.removed + text.slice(e.at + e.inserted.length);

let place = 0;
let before = NO_VALUE;
let after = NO_VALUE;

function forward() {
  const step = steps[place];
  if (step === undefined) return false;
  before = step.jump === undefined ? after : edited(after, step.jump);
  after = edited(before, step.edit);
  place += 1;
  return true;
}

function back() {
  const step = steps[place - 1];
  if (step === undefined) return false;
  after = step.jump === undefined ? before : undone(before, step.jump);
  place -= 1;
  const earlier = steps[place - 1];
  before = earlier === undefined ? NO_VALUE : undone(after, earlier.edit);
  return true;
}

function to(wanted) {
  while (place < wanted && forward());
  while (place > wanted && back());
}

function pretty(text) {
  if (text === NO_VALUE) return 'no value';
  if (text === NOT_KNOWN) return 'not known';
  return JSON.stringify(JSON.parse(text), null, 2);
}

function parsed(text) {
  return text === NO_VALUE || text === NOT_KNOWN ? undefined : JSON.parse(text);
}

/** The lines that two texts do not share at their beginning and end are marked. */
function showLines(element, text, other, mark) {
  const lines = text.split('\\n');
  const others = other.split('\\n');
  let first = 0;
  while (first < lines.length && first < others.length && lines[first] === others[first]) first++;
  let last = 0;
  while (
    last < Math.min(lines.length, others.length) - first &&
    lines[lines.length - 1 - last] === others[others.length - 1 - last]
  ) last++;
  element.replaceChildren(...lines.map((line, at) => {
    const shown = document.createElement('div');
    shown.textContent = line;
    if (at >= first && at < lines.length - last) shown.className = mark;
    return shown;
  }));
}

function endText(step) {
  const then = step.job.outcome;
  const was = then === undefined ? '' : then.kind === 'failed'
    ? 'failed then: ' + then.code + ' ' + then.message
    : then.kind === 'moved' ? 'moved to the end of its lane' : 'left this lane without being applied';
  if (step.end.kind === 'not-run') return was || 'not run again';
  if (step.end.kind === 'failed') {
    return (was === '' ? 'fails now: ' : was + '; now ') + step.end.code + ' ' + step.end.message;
  }
  if (was !== '') return was + '; it would succeed now';
  return 'applied' + (step.end.result === undefined ? '' : ', with the result ' + JSON.stringify(step.end.result));
}

function commitText(commit) {
  if (commit === undefined) return '';
  if (commit.kind === 'agrees') return 'End of its commit: as recorded.';
  if (commit.kind === 'not-checked') return 'End of its commit: not checked (' + commit.reason + ').';
  return 'End of its commit: DIFFERS from what was recorded' + (commit.expected === undefined ? '.' : ': ' + commit.expected);
}

function show(said) {
  const step = steps[place - 1];
  by('place').textContent = place + ' of ' + steps.length;
  by('at').value = String(place);
  by('job').textContent = step === undefined ? 'Before the first job' :
    'Job ' + step.job.id + ' (' + (step.job.update || 'gone') + ') at line ' + step.line + ', commit ' + step.token;
  by('end').textContent = step === undefined ? '' : endText(step);
  by('data').textContent = step === undefined || step.job.data === undefined ? '' : JSON.stringify(step.job.data, null, 2);
  by('commit').textContent = commitText(step && step.commit);
  by('commit').className = step && step.commit ? step.commit.kind : '';
  showLines(by('before'), pretty(before), pretty(after), 'removed');
  showLines(by('after'), pretty(after), pretty(before), 'added');
  by('said').textContent = said || '';
}

function search(text) {
  const from = place;
  try {
    const holds = new Function('value', 'before', 'job', 'data', 'result', 'failed', 'return (' + text + '\\n);');
    while (forward()) {
      const { job, end } = steps[place - 1];
      const result = end.kind === 'applied' ? end.result : undefined;
      if (holds(parsed(after), parsed(before), job, job.data, result, end.kind === 'failed')) return show();
    }
    to(from);
    show('Nowhere from here on.');
  } catch (error) {
    to(from);
    show(String(error));
  }
}

function toJob(id) {
  const at = steps.findIndex((step) => step.job.id === id);
  if (at === -1) return show('There is no such job.');
  to(at + 1);
  show();
}

by('first').onclick = () => { to(0); show(); };
by('back').onclick = () => { back(); show(); };
by('next').onclick = () => { forward(); show(); };
by('last').onclick = () => { to(steps.length); show(); };
by('at').oninput = () => { to(Number(by('at').value)); show(); };
by('to-job').onsubmit = (event) => { event.preventDefault(); toJob(by('id').value.trim()); };
by('until').onsubmit = (event) => { event.preventDefault(); search(by('condition').value); };
document.onkeydown = (event) => {
  if (event.target.tagName === 'INPUT') return;
  if (event.key === 'ArrowRight') { forward(); show(); }
  if (event.key === 'ArrowLeft') { back(); show(); }
};
by('at').max = String(steps.length);
show();
`;
