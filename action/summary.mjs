/** What replays found out, as Markdown. Whatever comes out of a recording is somebody else's text. */

/**
 * A line of `toril replay --json`: one per key, and one of all.
 * @typedef {object} ReplayLine
 * @property {string} verdict
 * @property {string} [key]
 * @property {number} [commits]
 * @property {number} [checked]
 * @property {number} [jobs]
 * @property {number} [keys]
 * @property {{ line: number, jobs: { id: string, update?: string }[], failure?: string,
 *   before: { json?: string }, diff?: string }} [difference]
 * @property {{ succeedNow: number }} [failures]
 * @property {{ differ: number }} [results]
 * @property {Record<string, number>} [unchecked]
 * @property {{ name: string, verdict: string }[]} [invariants]
 */

/**
 * @typedef {object} Outcome
 * @property {string} file
 * @property {number} code what `toril replay` ended with
 * @property {ReplayLine[]} keys
 * @property {ReplayLine | undefined} total undefined: it failed before it knew
 * @property {string} stderr
 */

const KEYS_SHOWN = 10;
const TEXT_MAX = 2_000;
/** GitHub takes 1 MiB per step. */
const SUMMARY_MAX = 900_000;
const ICONS = { agrees: '✅', 'not-checked': '⚠️', broken: '❌', differs: '❌', failed: '💥' };
/** From the best to the worst. */
const VERDICTS = /** @type {(keyof typeof ICONS)[]} */ (Object.keys(ICONS));

/**
 * @param {readonly Outcome[]} outcomes
 * @returns {{ markdown: string, verdict: string, errors: string[] }}
 */
export function summaryOf(outcomes) {
  const verdicts = outcomes.map(verdictOf);
  const worst = Math.max(-1, ...verdicts.map((verdict) => VERDICTS.indexOf(verdict)));
  const verdict = VERDICTS[worst] ?? 'failed';
  const rows = outcomes.map(({ file, total }, at) => {
    const own = verdicts[at] ?? 'failed';
    const checked = total === undefined ? '' : `${total.checked} of ${total.commits}`;
    return `| ${code(file)} | ${ICONS[own]} ${own} | ${checked} | ${total?.jobs ?? ''} | ${total?.keys ?? ''} |`;
  });
  const parts = [
    '## Toril replay\n',
    ...(rows.length === 0
      ? ['Nothing was replayed.\n']
      : ['| recording | | commits checked | jobs | keys |', '| --- | --- | ---: | ---: | ---: |']),
    ...rows,
    '',
    ...outcomes.flatMap(detailsOf),
  ];
  let markdown = `${parts.join('\n')}\n`;
  if (markdown.length > SUMMARY_MAX) markdown = `${rows.join('\n')}\n\nToo much to be shown here.\n`;
  return { markdown, verdict, errors: outcomes.flatMap(errorsOf) };
}

/**
 * @param {Outcome} outcome
 * @returns {keyof typeof ICONS}
 */
function verdictOf({ code: exitCode, total }) {
  const verdict = VERDICTS.find((known) => known === total?.verdict);
  // An unregistered update, for example, ends with another code than its verdict says.
  return verdict === undefined || ![0, 1, 7].includes(exitCode) ? 'failed' : verdict;
}

/** @param {ReplayLine} key */
const isOtherwise = (key) => key.verdict === 'differs';

/**
 * @param {Outcome} outcome
 * @returns {string[]}
 */
function detailsOf(outcome) {
  const { file, keys, total, stderr } = outcome;
  const lines = [];
  const wrong = keys.filter(isOtherwise);
  for (const key of wrong.slice(0, KEYS_SHOWN)) lines.push(...keyLines(file, key));
  if (wrong.length > KEYS_SHOWN) lines.push(`and ${wrong.length - KEYS_SHOWN} more keys of ${code(file)}\n`);
  for (const { name, verdict } of total?.invariants ?? []) {
    if (verdict !== 'holds') lines.push(`- invariant ${code(name)}: ${verdict}`);
  }
  for (const [reason, count] of Object.entries(total?.unchecked ?? {})) {
    lines.push(`- ${count} commits of ${code(file)} not checked: ${code(reason)}`);
  }
  if (verdictOf(outcome) === 'failed') lines.push(`### ${code(file)}\n`, fenced(stderr, ''));
  return lines;
}

/**
 * @param {string} file
 * @param {ReplayLine} key
 * @returns {string[]}
 */
function keyLines(file, { key, difference, failures, results }) {
  const lines = [`### ${code(key ?? '')} of ${code(file)}\n`];
  if (difference !== undefined) {
    const { line, jobs, failure, before, diff } = difference;
    const named = jobs.slice(0, 5).map(({ id, update }) => `${code(id)} (${code(update ?? 'gone')})`);
    const which = jobs.length === 1 ? 'job' : 'one of the jobs';
    lines.push(`First at line ${line}: ${which} ${named.join(', ')}${jobs.length > 5 ? ', ...' : ''}.\n`);
    if (failure !== undefined) lines.push(`It fails now: ${code(failure)}\n`);
    lines.push('Before it:', fenced(before.json ?? 'no value', 'json'));
    if (diff !== undefined) lines.push('As it was (-), as it is now (+):', fenced(diff, 'diff'));
  }
  if (failures !== undefined && failures.succeedNow > 0) {
    lines.push(`${failures.succeedNow} jobs failed then and would succeed now.\n`);
  }
  if (results !== undefined && results.differ > 0) lines.push(`${results.differ} results differ.\n`);
  return lines;
}

/**
 * @param {Outcome} outcome
 * @returns {string[]}
 */
function errorsOf(outcome) {
  const verdict = verdictOf(outcome);
  if (verdict === 'agrees') return [];
  const [first] = outcome.keys.filter(isOtherwise);
  const job = first?.difference?.jobs[0];
  const { line } = first?.difference ?? {};
  const where =
    job === undefined
      ? ''
      : `: key ${first?.key} first at line ${line}, job ${job.id} (${job.update ?? 'gone'})`;
  const why = verdict === 'failed' ? `: ${outcome.stderr.trim().slice(0, TEXT_MAX)}` : where;
  return [`${outcome.file} ${verdict}${why}`];
}

/**
 * Any text within a line.
 * @param {string} text
 */
function code(text) {
  const line = text.slice(0, TEXT_MAX).replaceAll(/[\r\n|]/g, ' ');
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const ticks = '`'.repeat(longest + 1);
  return `${ticks}${longest > 0 ? ` ${line} ` : line}${ticks}`;
}

/**
 * Any text as a block.
 * @param {string} text
 * @param {string} language
 */
function fenced(text, language) {
  const shown = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
  const longest = Math.max(2, ...[...shown.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${shown.trimEnd()}\n${fence}\n`;
}
