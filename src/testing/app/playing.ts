import { TorilError } from '../../errors.ts';

/** What it does not play throws when it is called, not when it is looked at. */
export function playing<T extends object>(kind: 'Queue' | 'Worker', played: T): T {
  return new Proxy(played, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name, target);
      if (typeof found === 'function')
        return (found as (...args: unknown[]) => unknown).bind(target);
      if (found !== undefined || typeof name === 'symbol' || LOOKED_AT.has(name)) return found;
      if (name in target) return undefined;
      return () => {
        throw new TorilError(
          'NOT_ON_A_TEST_BED',
          `a test bed does not play ${kind}.${name}(). Use what the bed itself has (docs/testing.md), or a real ${kind}.`,
        );
      };
    },
  });
}

/** Asked of anything by `await` and by test runners that print it. */
const LOOKED_AT: ReadonlySet<string> = new Set([
  ...[
    'then',
    'toJSON',
    'asymmetricMatch',
    'nodeType',
    'tagName',
    '$$typeof',
    '@@__IMMUTABLE_ITERABLE__@@',
  ],
  ...['@@__IMMUTABLE_RECORD__@@', '_isMockFunction', 'hasAttribute'],
]);
