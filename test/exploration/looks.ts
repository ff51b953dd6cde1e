/**
 * Whoever waits for its job's cells looks at each of them, and wants to know but whether it is as new as the commit. So that
 * is all that it is answered: no CAS, and no value.
 */
import { CELL_FLAGS, encodeEnvelope } from '../../src/cells/envelope.ts';
import type { Outcome } from '../../src/memcached/server.ts';
import { CELLS } from './memcached-states.ts';
import type { Vocabulary } from './requests.ts';
import { DATA_SET, QUEUE } from './worker-plan.ts';
import { NO_ROUND } from './worker-rounds.ts';
import type { WorkerNode } from './worker-tree.ts';

export class Looks {
  readonly #vocabulary: Vocabulary;
  readonly #answers = new Map<number, number>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /**
   * What `node` hears instead of an outcome.
   * @param at of its requests: which one
   * @param token of the cell as it is; undefined: there is none
   */
  answer(
    node: WorkerNode,
    at: number,
    outcome: number,
    cells: readonly (number | undefined)[],
  ): number {
    const { phase, outcome: decided, requests, requestRounds } = node;
    if (phase !== 'settles' || requestRounds[at] !== NO_ROUND) return outcome;
    const request = this.#vocabulary.at('memcached', requests[at] as number);
    const token = cells[CELLS.indexOf(request.name)];
    if (request.command !== 'get' || token === undefined) return outcome;
    const since = Number(/^j(\d+):/.exec(decided)?.[1]);
    return this.#cellOf(token < since ? 0 : since);
  }

  #cellOf(token: number): number {
    const known = this.#answers.get(token);
    if (known !== undefined) return known;
    const value = encodeEnvelope({
      ...{ token, base: token, watermark: 0, expireMs: 0, decisions: new Map<string, string>() },
      ...{ dataSet: DATA_SET, queue: QUEUE, valueJson: '""' },
    });
    const cell: Outcome<unknown> = { kind: 'done', value: { value, flags: CELL_FLAGS, cas: 0n } };
    const answer = this.#vocabulary.idOf('outcome', cell);
    this.#answers.set(token, answer);
    return answer;
  }
}
