/** One invariant: asked, counted, and remembered where it first did not hold. */
import { isPromiseLike } from '../../base/promises.ts';
import { messageOf, TorilError } from '../../errors.ts';
import type { AnyInvariant, InvariantAnswer, InvariantStep } from './invariant.ts';
import {
  type BrokenInvariant,
  brokenText,
  type InvariantPlace,
  type InvariantReport,
  placeText,
} from './report.ts';
import { RunningTotal } from './running-total.ts';

/** What a question is about. */
type Question = Pick<BrokenInvariant, 'what' | 'at' | 'moment'> & {
  readonly before: unknown;
  readonly after: unknown;
};

interface Found {
  asked: number;
  breaks: number;
  broken: BrokenInvariant | undefined;
  /** How often the total could not be known. */
  times: number;
}

export class InvariantCheck {
  readonly #invariant: AnyInvariant;
  /** Not all keys are looked at, and it is about all of them. */
  #isPart = false;
  readonly #total: RunningTotal | undefined;
  #found: Found = { asked: 0, breaks: 0, broken: undefined, times: 0 };
  #isTold = false;

  constructor(invariant: AnyInvariant) {
    this.#invariant = invariant;
    this.#total = invariant.total === undefined ? undefined : new RunningTotal();
  }

  onlySomeKeys(): void {
    this.#isPart = this.#total !== undefined;
  }

  isAbout(key: string): boolean {
    const { keys } = this.#invariant;
    if (keys === undefined) return true;
    // Not `test`: with the flag g it says no every other time.
    if (keys instanceof RegExp) return key.search(keys) >= 0;
    return this.#call(`key ${JSON.stringify(key)}`, () => keys(key)) === true;
  }

  /**
   * The value is this, and no job has made it so.
   * @param at the job before which it is, or where it became known
   * @param isFound it was so before, only nobody knew
   */
  begin(at: InvariantPlace, value: unknown, isFound: boolean): void {
    this.#count(at, value, isFound);
    if (value === undefined || this.#invariant.value === undefined) return;
    const question: Question = { what: 'value', at, moment: 'before', before: value, after: value };
    this.#ask(question, () => this.#invariant.value?.(value, at.key));
  }

  /** @param isWhole no other step of the same job follows: now the total can be asked about */
  step(at: InvariantPlace, step: InvariantStep, isWhole: boolean): void {
    const { key, before, after } = step;
    const { value, step: own, total } = this.#invariant;
    const common = { at, moment: 'after', before, after } as const;
    if (value !== undefined && after !== undefined) {
      this.#ask({ what: 'value', ...common }, () => value.call(this.#invariant, after, key));
    }
    if (own !== undefined)
      this.#ask({ what: 'step', ...common }, () => own.call(this.#invariant, step));
    if (total === undefined) return;
    this.#count(at, after, false);
    if (isWhole && total.when !== 'end') this.#askTotal(common);
  }

  lose(key: string, isLeftOut: boolean): void {
    this.#total?.forget(key, isLeftOut);
  }

  /** Undefined: it has not been broken, or that was told already. */
  get news(): string | undefined {
    if (this.#found.broken === undefined || this.#isTold) return undefined;
    this.#isTold = true;
    return brokenText(this.#invariant.name, this.#found.broken);
  }

  /** More steps may follow: what is asked behind the last one only is forgotten again. */
  end(): InvariantReport {
    if (this.#invariant.total?.when !== 'end') return this.#report();
    const before = { ...this.#found };
    this.#askTotal({ at: undefined, moment: 'end', before: undefined, after: undefined });
    const report = this.#report();
    this.#found = before;
    return report;
  }

  #report(): InvariantReport {
    const { name } = this.#invariant;
    const { broken, ...counts } = this.#found;
    const unchecked = this.#unchecked();
    const isSound = unchecked === undefined;
    const verdict = broken !== undefined ? 'broken' : isSound ? 'holds' : 'not-checked';
    return { name, verdict, ...counts, broken, unchecked };
  }

  #unchecked(): InvariantReport['unchecked'] {
    if (this.#isPart) return 'not-all-keys';
    if (this.#found.times > 0) return 'values-unknown';
    return this.#found.asked === 0 ? 'never-asked' : undefined;
  }

  #count(at: InvariantPlace, value: unknown, isFound: boolean): void {
    const { total: wanted } = this.#invariant;
    const total = this.#total;
    if (wanted === undefined || total === undefined) return;
    const { key } = at;
    const where = placeText(at);
    const part = value === undefined ? undefined : this.#call(where, () => wanted.of(value, key));
    try {
      total.set(key, part as number | bigint | undefined, isFound);
    } catch (cause) {
      this.#refuse(where, `counts what does not add up: ${messageOf(cause)}`, cause);
    }
  }

  #askTotal(question: Omit<Question, 'what'>): void {
    const total = this.#total;
    if (total === undefined || this.#isPart) return;
    if (!total.hasCounted) return;
    if (!total.isKnown) {
      this.#found.times += 1;
      return;
    }
    const { facts } = total;
    this.#ask({ what: 'total', ...question }, () =>
      this.#invariant.total?.holds(total.total, facts),
    );
  }

  #ask(question: Question, ask: () => InvariantAnswer | undefined): void {
    const where = placeText(question.at);
    const answer = this.#call(where, ask);
    if (typeof answer !== 'boolean' && typeof answer !== 'string') {
      this.#refuse(where, `returned ${described(answer)}`);
    }
    this.#found.asked += 1;
    if (answer === true) return;
    this.#found.breaks += 1;
    this.#found.broken ??= this.#brokenBy(question, answer === false ? undefined : answer);
  }

  #brokenBy({ before, after, ...question }: Question, why: string | undefined): BrokenInvariant {
    const values = { before: JSON.stringify(before), after: JSON.stringify(after) };
    const isTotal = question.what === 'total';
    const total = isTotal ? String(this.#total?.total) : undefined;
    const change = isTotal ? String(this.#total?.facts.change) : undefined;
    return { ...question, why, ...values, total, change };
  }

  #call(where: string, ask: () => unknown): unknown {
    try {
      return ask();
    } catch (cause) {
      return this.#refuse(where, `threw: ${messageOf(cause)}`, cause);
    }
  }

  #refuse(where: string, what: string, cause?: unknown): never {
    throw new TorilError(
      'INVARIANT_UNUSABLE',
      `the invariant "${this.#invariant.name}" ${what} (${where}). It must answer at once, with true, false or a text that says what is wrong, and change nothing.`,
      { cause },
    );
  }
}

function described(answer: unknown): string {
  if (answer === undefined) return 'undefined: a function body without return?';
  if (!isPromiseLike(answer)) return answer === null ? 'null' : `a value of type ${typeof answer}`;
  answer.then(undefined, () => undefined); // nobody waits for it
  return 'a promise';
}
