/** What a replay does not look at, though a change of it could have touched this recording. */
import type { AnyUpdate } from '../../updates/update.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { KeyCheck } from './keys/key-check.ts';
import type { NotLookedAt } from './report.ts';

type Setting = 'onFailure' | 'onExhausted' | 'expireSeconds' | 'timeoutMs';

export interface LookedInto {
  readonly keys: Iterable<KeyCheck>;
  readonly registry: UpdateRegistry;
  readonly former: UpdateRegistry | undefined;
  /** An update or a schema was asynchronous. */
  readonly isAsynchronous: boolean;
}

export function notLookedAt({ keys, registry, ...facts }: LookedInto): NotLookedAt[] {
  const failing = new Set<string>();
  let adopted = 0;
  let retried = 0;
  for (const { outcomes, replay, retried: more } of keys) {
    for (const name of outcomes.failing) failing.add(name);
    adopted += replay.tally.adopted;
    retried += more;
  }
  const all = registry.names;
  const failed = all.filter((name) => failing.has(name));
  const entry = (what: Setting, updates: readonly string[]): NotLookedAt[] =>
    updates.length === 0
      ? []
      : [{ what, updates, changed: changed(what, updates, registry, facts.former) }];
  return [
    ...entry('onFailure', failed),
    ...entry('onExhausted', failed),
    ...entry('expireSeconds', all),
    ...entry('timeoutMs', facts.isAsynchronous ? all : []),
    ...(adopted > 0 ? [{ what: 'adopt', updates: all, changed: [] } as const] : []),
    ...(retried > 0 ? [{ what: 'earlier attempts', updates: [], changed: [] } as const] : []),
    { what: 'refused jobs', updates: [], changed: [] },
  ];
}

function changed(
  setting: Setting,
  updates: readonly string[],
  registry: UpdateRegistry,
  former: UpdateRegistry | undefined,
): string[] {
  return updates.filter((name) => {
    const then: AnyUpdate | undefined = former?.find(name);
    return then !== undefined && then[setting] !== registry.find(name)?.[setting];
  });
}
