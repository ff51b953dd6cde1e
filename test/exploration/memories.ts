/**
 * Workers that remember the same, on the joint path. A worker is a few combiners and its job. What each of them was told, in
 * order, is all that it knows; in which order two of them were told, it does not, but for what it has sent meanwhile, which is to be seen.
 */
import { activeRounds, drawn, roundOf, stepsTo, visible, waitingRounds } from './live-rounds.ts';
import { isTime, TOLD, TOLD_KINDS } from './stimuli.ts';
import { NO_ROUND } from './worker-rounds.ts';
import type { WorkerNode } from './worker-tree.ts';

export class Memories {
  readonly #known = new Map<string, WorkerNode>();
  readonly #same = new Map<number, WorkerNode>();

  /** The first one that was asked for and remembers the same. */
  same(node: WorkerNode): WorkerNode {
    const known = this.#same.get(node.id);
    if (known !== undefined) return known;
    const memory = memoryOf(node);
    const first = this.#known.get(memory) ?? node;
    this.#known.set(memory, first);
    this.#same.set(node.id, first);
    return first;
  }
}

function memoryOf(node: WorkerNode): string {
  const { plan, rounds, held, numbers } = node;
  const steps = stepsTo(node);
  const told = new Map<number, number[]>();
  const note = (round: number, stimulus: number): void => {
    const log = told.get(round);
    if (log === undefined) told.set(round, [stimulus]);
    else log.push(stimulus);
  };
  let time = '';
  for (const { parent, stimulus, phase } of steps) {
    const before = parent as WorkerNode;
    switch (stimulus % TOLD_KINDS) {
      case TOLD.answer:
      case TOLD.reply:
        note(roundOf(before, stimulus), stimulus);
        break;
      case TOLD.begins:
        break;
      case TOLD.paused:
        for (const { key } of before.rests) note(before.alive.get(key) ?? NO_ROUND, stimulus);
        if (before.phase === 'settles') note(NO_ROUND, stimulus);
        break;
      default:
        if (isTime(stimulus)) time += ` ${stimulus}`;
        for (const round of [...before.alive.values(), NO_ROUND]) note(round, stimulus);
    }
    if (phase !== before.phase) told.delete(NO_ROUND);
  }
  const atWork = activeRounds(node, steps);
  const live = new Set(atWork).add(NO_ROUND);
  // Its lock may still stand there, and it knows it for its own.
  const isAbandoned = (id = 0): boolean => node.abandoned.has(`${plan.name}-${id}`);
  for (const { number, id } of rounds) if (isAbandoned(id)) live.add(number);
  // By key, and then in the order of its rounds.
  const waiting = waitingRounds(node);
  const logs = [...live]
    .map((round) => ({ round, key: rounds[round - 1]?.key ?? '' }))
    .sort((a, b) => a.key.localeCompare(b.key) || a.round - b.round)
    .map(({ round, key }) => {
      const isOpen = round === NO_ROUND || (atWork.has(round) && !waiting.has(round));
      const id = rounds[round - 1]?.id;
      const fate = `#${id}${isAbandoned(id) ? ' abandoned' : ''}${waiting.has(round) ? ' waits' : ''}`;
      return `${key} ${isOpen ? told.get(round)?.join(' ') : fate}`;
    });
  const known = [
    ...numbers.cas.map((cas) => `c${cas}`),
    ...numbers.tokens.map((token) => `t${token}`),
    ...numbers.ids.map(({ worker, id }) => `${worker}${id}`),
  ].sort();
  const undrawn = plan.abandoned.slice(drawn(rounds)).join(' ');
  const watched = [...node.sightings].map(
    ([name, lock]) => `${name} ${timeSince(name, lock, steps)}`,
  );
  const seen = [...held, ...watched.sort()].join(' ');
  return [plan.name, undrawn, visible(node, []), seen, time, known.join(' '), ...logs].join('\n');
}

/** That has passed since it first saw this lock: it may be taken over then. */
function timeSince(name: string, lock: number, steps: readonly WorkerNode[]): string {
  const first = steps.findLastIndex(({ parent }) => parent?.sightings.get(name) !== lock);
  const since = steps.slice(first + 1).map(({ stimulus }) => stimulus);
  return since.filter((stimulus) => isTime(stimulus)).join(' ');
}
