/** Stepping through a key by commands: on a terminal, or one per line of a pipe. */
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { TorilError } from '../../../errors.ts';
import type { KeySteps } from '../../../history/stepping/key-steps.ts';
import { Walk } from '../../../history/stepping/walk.ts';
import { EXIT } from '../../terminal/exit-codes.ts';
import { noteError } from '../../terminal/failure.ts';
import { print } from '../../terminal/terminal.ts';
import { conditionOf } from './condition.ts';
import { stepText, valueText } from './step-text.ts';

const PROMPT = '> ';
/** 128 + SIGINT */
const INTERRUPTED = 130;

const HELP = `  next [N]      the next job, or N jobs on (n, or an empty line)
  back [N]      one job back, or N (b)
  job ID        to the job of that id (j)
  line N        to the first job of that line of the file
  until COND    on to the first job behind which COND holds: JavaScript with value, before, job, data,
                result, failed, such as until value.cents < 0 (u)
  differs       on to the first commit that is not what was recorded
  first, last   before the first job, behind the last one
  value         the whole value, as it is behind this job (v)
  help, quit    (h, q)`;

const SHORT: Readonly<Record<string, string>> = {
  ...{ '': 'next', n: 'next', b: 'back', j: 'job', u: 'until', v: 'value', h: 'help', q: 'quit' },
};

export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable;
}

/** @returns the exit code: of a pipe with a command that made no sense, that of wrong usage */
export async function stepThrough(all: KeySteps, { input, output }: Terminal): Promise<number> {
  const stepper = new Stepper(all);
  print(stepper.text());
  const isTerminal = input.isTTY === true;
  const lines = createInterface({ input, output, terminal: isTerminal, prompt: PROMPT });
  let exitCode: number = EXIT.done;
  lines.on('SIGINT', () => {
    exitCode = INTERRUPTED;
    lines.close();
  });
  if (isTerminal) lines.prompt();
  for await (const line of lines) {
    // Whoever reads what a pipe gave should see what was asked.
    if (!isTerminal) print(`${PROMPT}${line}`);
    const answered = stepper.answer(line);
    if (answered === 'quit') break;
    if (answered === 'refused' && !isTerminal) exitCode = EXIT.usage;
    if (isTerminal) lines.prompt();
  }
  lines.close();
  if (exitCode === INTERRUPTED) print('');
  return exitCode;
}

class Stepper {
  readonly #all: KeySteps;
  readonly #walk: Walk;

  constructor(all: KeySteps) {
    this.#all = all;
    this.#walk = new Walk(all.steps);
  }

  text(): string {
    return stepText(this.#walk, this.#all);
  }

  answer(line: string): 'done' | 'quit' | 'refused' {
    const [, word = '', rest = ''] = /^\s*(\S*)\s*(.*?)\s*$/.exec(line) ?? [];
    const command = SHORT[word] ?? word;
    if (command === 'quit') return 'quit';
    try {
      print(this.#answer(command, rest));
      return 'done';
    } catch (thrown) {
      if (!(thrown instanceof TorilError)) throw thrown;
      noteError(thrown.code, thrown.message);
      return 'refused';
    }
  }

  #answer(command: string, rest: string): string {
    const walk = this.#walk;
    switch (command) {
      case 'next':
        return this.#moved(walk.place + countOf(rest), 'This is the last job.');
      case 'back':
        return this.#moved(walk.place - countOf(rest), 'This is the beginning.');
      case 'first':
        return this.#moved(0);
      case 'last':
        return this.#moved(walk.steps.length);
      case 'job':
        return this.#to(({ job }) => job.id === rest, `no job ${rest}`);
      case 'line':
        return this.#to((step) => String(step.line) === rest, `no job at line ${rest}`);
      case 'until': {
        const holds = conditionOf(rest);
        return walk.find((_, moment) => holds(moment())) ? this.text() : 'Nowhere from here on.';
      }
      case 'differs':
        return walk.find(({ commit }) => commit?.kind === 'differs')
          ? this.text()
          : 'Nowhere from here on.';
      case 'value':
        return valueText(walk.after);
      case 'help':
        return HELP;
      default:
        throw refused(`there is no command ${JSON.stringify(command)}: help has them all`);
    }
  }

  /** @param atEnd said if it cannot be moved any more */
  #moved(place: number, atEnd?: string): string {
    const from = this.#walk.place;
    this.#walk.to(place);
    return atEnd !== undefined && this.#walk.place === from ? atEnd : this.text();
  }

  #to(wanted: (step: KeySteps['steps'][number]) => boolean, none: string): string {
    const at = this.#all.steps.findIndex(wanted);
    if (at === -1) throw refused(`the key has ${none} in this recording`);
    return this.#moved(at + 1);
  }
}

function countOf(text: string): number {
  if (text === '') return 1;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw refused(`${JSON.stringify(text)} is no number of jobs`);
}

function refused(what: string): TorilError {
  return new TorilError('INVALID_OPTIONS', `${what}.`);
}
