/** A step, for people. */
import {
  type KeySteps,
  NO_VALUE,
  NOT_KNOWN,
  type Step,
} from '../../../history/stepping/key-steps.ts';
import type { Walk } from '../../../history/stepping/walk.ts';
import { differenceBetween } from '../../../history/replay/difference.ts';
import { UNCHECKED_TEXTS } from '../../../history/text/report-text.ts';
import { colours, grouped } from '../../terminal/terminal.ts';

function beginningText({ key, queue, steps }: KeySteps): string {
  const { bold } = colours.out;
  return `${bold(key)} of ${queue}: ${grouped(steps.length)} jobs. Before the first one.`;
}

export function stepText(walk: Walk, all: KeySteps): string {
  const { step } = walk;
  if (step === undefined) return beginningText(all);
  const { job, line, token } = step;
  const lines = [
    `${colours.out.bold(`${grouped(walk.place)} of ${grouped(walk.steps.length)}`)}: job ${job.id} (${job.update ?? 'gone'}) at line ${line}, commit ${token}`,
    ...endLines(step),
    ...(job.data === undefined ? [] : [`  data: ${JSON.stringify(job.data)}`]),
    ...changeLines(walk),
    ...commitLines(step, walk.after),
  ];
  return lines.join('\n');
}

export function valueText(json: string): string {
  if (json === NO_VALUE) return 'no value';
  if (json === NOT_KNOWN) return 'not known';
  return JSON.stringify(JSON.parse(json), null, 2);
}

function endLines({ end, job }: Step): string[] {
  const { red } = colours.out;
  const then = thenText(job);
  switch (end.kind) {
    case 'applied': {
      const result =
        end.result === undefined ? '' : `, with the result ${JSON.stringify(end.result)}`;
      return [then === undefined ? `  applied${result}` : red(`  ${then}; it would succeed now`)];
    }
    case 'failed': {
      const now = `${end.code} ${end.message}`;
      return [then === undefined ? red(`  fails now: ${now}`) : `  ${then}; now ${now}`];
    }
    case 'not-run':
      return [`  ${then ?? 'not run again'}`];
  }
}

function thenText({ outcome }: Step['job']): string | undefined {
  switch (outcome?.kind) {
    case undefined:
      return undefined;
    case 'failed':
      return `failed then: ${outcome.code} ${outcome.message}`.trimEnd();
    case 'moved':
      return 'moved to the end of its lane';
    case 'withdrawn':
      return 'left this lane without being applied';
  }
}

function changeLines({ before, after }: Walk): string[] {
  if (before === after) return ['  the value stays as it was'];
  if (before === NOT_KNOWN || after === NOT_KNOWN) {
    return [`  the value is ${after === NOT_KNOWN ? 'not known' : 'known again'}`];
  }
  const { red, green } = colours.out;
  const coloured = (line: string): string =>
    line.startsWith('-') ? red(line) : line.startsWith('+') ? green(line) : line;
  const lines = differenceBetween(before || undefined, after || undefined).split('\n');
  return lines.map((line) => `    ${coloured(line)}`);
}

function commitLines({ commit }: Step, after: string): string[] {
  const { red, yellow } = colours.out;
  switch (commit?.kind) {
    case undefined:
      return [];
    case 'agrees':
      return ['  end of its commit: as recorded'];
    case 'not-checked':
      return [yellow(`  end of its commit: not checked, ${UNCHECKED_TEXTS[commit.reason]}`)];
    case 'differs':
      return [
        red('  end of its commit: DIFFERS from what was recorded'),
        ...(commit.expected === undefined
          ? []
          : ['  - as it was, + as it is now:', ...between(commit.expected, after)]),
      ];
  }
}

function between(expected: string, after: string): string[] {
  return differenceBetween(expected, after || undefined)
    .split('\n')
    .map((line) => `    ${line}`);
}
