/**
 * Commands of one run. `fc.commands` shrinks a list from its end only, and so leaves what stands between; an array is
 * shrunk everywhere: 8 commands became 3.
 */
import type { Arbitrary } from 'fast-check';
import type { TestBed } from '../bed.ts';
import type { BedCommand } from './commands.ts';
import type { BedModel } from './model.ts';
import { fc } from './peer.ts';

export class CommandList implements Iterable<BedCommand> {
  readonly #ran: BedCommand[] = [];
  readonly #commands: readonly BedCommand[];

  constructor(commands: readonly BedCommand[]) {
    this.#commands = commands.map((command) => this.#noting(command));
    const value = (): string => `\n  ${this.toString()}\n`;
    Object.defineProperty(this, fc.toStringMethod, { value });
  }

  [Symbol.iterator](): Iterator<BedCommand> {
    return this.#commands[Symbol.iterator]();
  }

  /** Those that have run, in the words of this run. */
  toString(): string {
    return this.#ran.map(String).join('\n  ');
  }

  #noting(command: BedCommand): BedCommand {
    // Lists that are shrunk share their commands: one that has words of its own is copied.
    const own = fc.hasCloneMethod(command) ? command[fc.cloneMethod]() : command;
    return {
      check: (model) => own.check(model),
      run: async (model: BedModel, bed: TestBed) => {
        this.#ran.push(own);
        await own.run(model, bed);
      },
      toString: () => String(own),
    };
  }
}

export function commandLists(
  commands: readonly Arbitrary<BedCommand>[],
  maxLength: number,
): Arbitrary<CommandList> {
  const one = fc.oneof(...commands);
  return fc.array(one, { maxLength, size: 'max' }).map((list) => new CommandList(list));
}
