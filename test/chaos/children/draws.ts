/** What a stream asks for next. Pure: drawn from the seed and the stream's name alone. */
import { Dice } from '../../simulation/dice.ts';
import { isAccount, lifetimeOf, type Operation, type UpdateName } from '../history.ts';

const HOT_KEY = 0.25;
const NAMED = 0.7;
const BULK = 0.15;
const FLOW = 0.06;
const TRANSFER = 0.25;
const CENTS_MAX = 100;
const DELAYED = 0.06;
const DELETE = 0.2;
const FAILING = 0.06;
const BULK_MAX = 8;
const CHILDREN_MAX = 3;
const DELAY_MS = [10, 3_000] as const;

export class Draws {
  readonly dice: Dice;
  readonly #name: string;
  readonly #keys: readonly string[];
  readonly #accounts: readonly string[];
  #drawn = 0;

  constructor(seed: number, name: string, keys: readonly string[]) {
    this.dice = new Dice(seed, name);
    this.#name = name;
    this.#keys = keys;
    this.#accounts = keys.filter(isAccount);
  }

  touch(key: string): Operation {
    return this.#operation(key, lifetimeOf(key) === 'brief' ? 'brief' : 'append', 0, true);
  }

  /** One operation, several of one key, several transfers, or several of many keys of which the last is the parent. */
  next(): Operation[] {
    const { dice } = this;
    if (dice.chance(FLOW)) return this.#flow();
    const key = this.#key();
    const named = dice.chance(NAMED);
    const isTransfer = dice.chance(TRANSFER);
    const draw = (): Operation => (isTransfer ? this.#transfer(named) : this.#any(key, named));
    if (dice.chance(DELAYED)) {
      const delayMs = Math.round(dice.magnitude(...DELAY_MS));
      return [{ ...draw(), way: 'delayed', delayMs }];
    }
    const count = dice.chance(BULK) ? dice.whole(2, BULK_MAX) : 1;
    return Array.from({ length: count }, draw);
  }

  /** Children do not fail, or their parent would. */
  #flow(): Operation[] {
    const { dice } = this;
    const children = Array.from({ length: dice.whole(1, CHILDREN_MAX) }, () => {
      const key = this.#key();
      return { ...this.#operation(key, this.#update(key), 0, true), way: 'child' as const };
    });
    const parent = this.#any(this.#key(), true);
    return [...children, { ...parent, way: 'parent', children: children.map(({ op }) => op) }];
  }

  #transfer(named: boolean): Operation {
    const { dice } = this;
    const key = dice.pick(this.#accounts);
    const to = dice.pick(this.#accounts.filter((account) => account !== key));
    const transfer = this.#operation(key, 'transfer', this.#failures(), named);
    return { ...transfer, to, cents: dice.whole(1, CENTS_MAX) };
  }

  #failures(): number {
    return this.dice.chance(FAILING) ? this.dice.whole(1, 3) : 0;
  }

  #key(): string {
    const { dice } = this;
    return dice.chance(HOT_KEY) ? (this.#keys[0] as string) : dice.pick(this.#keys);
  }

  #any(key: string, named: boolean): Operation {
    return this.#operation(key, this.#update(key), this.#failures(), named);
  }

  #update(key: string): UpdateName {
    const { dice } = this;
    const lifetime = lifetimeOf(key);
    if (lifetime === 'brief') return 'brief';
    if (lifetime === 'mortal' && dice.chance(DELETE)) return 'delete';
    const kind = dice.fraction();
    return kind < 0.7 ? 'append' : kind < 0.8 ? 'slow' : kind < 0.9 ? 'strict' : 'skip';
  }

  #operation(key: string, update: UpdateName, failures: number, named: boolean): Operation {
    const attempts = failures > 0 ? 3 : 1;
    return { op: `${this.#name}-${this.#drawn++}`, key, named, update, failures, attempts };
  }
}
