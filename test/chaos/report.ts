/** How a run is told to people. Pure. */
import type { Figures } from './figures.ts';
import type { Violation } from './evidence.ts';
import { type Happened, keysOf } from './history.ts';

const VIOLATIONS_SHOWN = 10;
/** Events of the key around what the first violation names. */
const EVENTS_SHOWN = 60;

export function figuresText(figures: Figures): string {
  const { faults, faultsPerMinute, slowestDrainMs, ...counts } = figures;
  const struck = faults.reduce((sum, [, count]) => sum + count, 0);
  const lines = Object.entries(counts).map(([name, count]) => `${words(name)}: ${count}`);
  const kinds = faults.map(([kind, count]) => `${kind} ${count}`).join('; ');
  return [
    ...lines,
    `slowest drain: ${slowestDrainMs} ms`,
    `faults: ${struck}, ${faultsPerMinute} a minute: ${kinds}`,
  ].join('\n');
}

/** `refusedCommits`: refused commits. */
function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

export function violationsText(
  violations: readonly Violation[],
  history: readonly Happened[],
): string {
  const shown = violations
    .slice(0, VIOLATIONS_SHOWN)
    .map(({ promise, key, what }) => `${promise} ${key}: ${what}`);
  const left = violations.length - shown.length;
  if (left > 0) shown.push(`and ${left} more`);
  const first = violations.find(({ key }) => key !== '');
  if (first === undefined) return shown.join('\n');
  return [...shown, '', `history of ${first.key}:`, ...excerpt(first, history)].join('\n');
}

/** The key's events around the last one that mentions something that the violation names. */
function excerpt({ key, what }: Violation, history: readonly Happened[]): string[] {
  const named = new Set(what.match(/[\w.-]{4,}/g) ?? []);
  const ofKey = history.filter((event) => event.e === 'fault' || concerns(event, key, history));
  const at = ofKey.findLastIndex(
    (event) => event.e !== 'fault' && Object.values(event).some((value) => mentions(value, named)),
  );
  const middle = at === -1 ? ofKey.length : at;
  const from = Math.max(0, middle - Math.floor(EVENTS_SHOWN * 0.75));
  return ofKey.slice(from, from + EVENTS_SHOWN).map((event) => JSON.stringify(event));
}

function concerns(event: Happened, key: string, history: readonly Happened[]): boolean {
  if (event.e === 'asked') return keysOf(event).includes(key);
  if ('key' in event) return event.key === key;
  if (!('jobId' in event)) return false;
  return jobsOf(history).get(event.jobId) === key;
}

const known = new WeakMap<readonly Happened[], Map<string, string>>();

/** Which key a job is of. */
function jobsOf(history: readonly Happened[]): Map<string, string> {
  let jobs = known.get(history);
  if (jobs === undefined) {
    jobs = new Map();
    for (const event of history) if (event.e === 'called') jobs.set(event.jobId, event.key);
    known.set(history, jobs);
  }
  return jobs;
}

function mentions(value: unknown, named: ReadonlySet<string>): boolean {
  if (typeof value === 'object' && value !== null) {
    return Object.values(value).some((inner) => mentions(inner, named));
  }
  return named.has(String(value));
}
