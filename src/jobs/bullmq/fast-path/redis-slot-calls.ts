/** The calls of a worker's slots, as scripts. */
import { Packing } from '../../redis/scripts/packing.ts';
import type { Script } from '../../redis/scripts/script.ts';
import { FILL, type FillArguments } from './fill.ts';
import { FINISH, type FinishArguments, type FinishSettings } from './finish.ts';
import type { Answers, Completed, SlotCalls, ToComplete } from './slot-calls.ts';

export class RedisSlotCalls implements SlotCalls {
  readonly #settings: FinishSettings;
  readonly #run: (script: Script, args: readonly string[]) => Promise<unknown>;

  constructor(
    settings: FinishSettings,
    run: (script: Script, args: readonly string[]) => Promise<unknown>,
  ) {
    this.#settings = settings;
    this.#run = run;
  }

  async finish(jobs: readonly ToComplete[]): Promise<Answers> {
    const packing = new Packing();
    const all = jobs.map(
      ({ jobId, token, result, fetchNext, remove, delivery }): FinishArguments => [
        jobId,
        token,
        packing.text(result),
        fetchNext ? 1 : 0,
        remove ? 1 : 0,
        String(delivery ?? ''),
      ],
    );
    return answersOf(await this.#run(FINISH, packing.arguments([this.#settings, ...all])));
  }

  async fill(tokens: readonly string[]): Promise<Answers> {
    const args: FillArguments = [...this.#settings, ...tokens];
    return answersOf(await this.#run(FILL, args));
  }
}

/** What the scripts answer (`told` in finish.ts). */
function answersOf(reply: unknown): Answers {
  return answersIn(JSON.parse(reply as string) as unknown[]);
}

/** @param told is used up */
export function answersIn(told: unknown[]): Answers {
  const nowMs = Number(told.pop());
  const answers = told as (Completed | 0)[];
  return { nowMs, answers: answers.map((answer) => (answer === 0 ? undefined : answer)) };
}
