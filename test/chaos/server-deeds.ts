/** Faults of memcached and of Redis. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Deed, during, pick } from './deed.ts';
import { nowUs } from './history.ts';
import { startAgain } from './member-deeds.ts';
import { type RefusalKind, refuse } from './refusals.ts';
import type { Fault } from './schedule.ts';
import { type Site, SMALL_SERVER } from './site.ts';
import { flood, tell } from './text-client.ts';

/** @param evicting told how many values a flood has pushed out */
export function memcachedDeed(
  site: Site,
  { kind, ms, target, whose }: Fault,
  evicting: (count: number) => void,
): Deed {
  const index =
    kind === 'fill memcached' ? SMALL_SERVER : Math.floor(target * site.memcached.length);
  const server = site.memcached[index] as Site['memcached'][number];
  const targets = [`memcached ${index}`];
  const losing = (act: () => Promise<unknown>) => async (): Promise<void> => {
    const fromUs = nowUs();
    await act();
    site.recorder.note({ e: 'lost', server: index, fromUs });
  };
  const away = (begin: () => unknown): Promise<void> => during(ms, begin, () => server.start());
  switch (kind) {
    case 'restart memcached':
      return { targets, act: losing(() => away(() => server.kill())) };
    case 'flush memcached':
      return { targets, act: losing(() => tell(server.port, 'flush_all')) };
    case 'fill memcached':
      return {
        targets,
        act: losing(async () => {
          evicting(await flood(server.port, ms));
          // Whatever pushes values out must be over when the fault is.
          await tell(server.port, 'flush_all');
        }),
      };
    case 'late memcached': {
      // A worker that starts before the server does.
      const worker = pick(site.workers, whose);
      return {
        targets: [...targets, worker.name],
        act: losing(() =>
          away(async () => {
            await worker.kill();
            await server.kill();
            await startAgain(site, worker);
          }),
        ),
      };
    }
    default:
      return {
        targets,
        act: () =>
          during(
            ms,
            () => server.freeze(),
            () => server.thaw(),
          ),
      };
  }
}

/** The replica takes the primary's place, and does not have the last writes. */
export function promotion({ redis, redisProxy, recorder }: Site, ms: number): Deed {
  return {
    targets: ['redis'],
    act: () =>
      redis.promote(ms, (fromUs) => {
        redisProxy.redirect(redis.primary.port);
        redisProxy.cut(undefined);
        recorder.note({ e: 'wentBack', fromUs });
      }),
  };
}

export function redisDeed(
  { redis: { primary: redis } }: Site,
  { kind, ms }: Fault & { readonly kind: RedisFaultKind },
): Deed {
  const targets = ['redis'];
  switch (kind) {
    case 'restart redis':
      return {
        targets,
        act: () =>
          during(
            ms,
            () => redis.kill(),
            () => redis.start(),
          ),
      };
    case 'freeze redis':
      return {
        targets,
        act: () =>
          during(
            ms,
            () => redis.freeze(),
            () => redis.thaw(),
          ),
      };
    case 'flush scripts':
      return { targets, act: () => tell(redis.port, 'SCRIPT FLUSH SYNC') };
    default:
      return { targets, act: () => refuse(redis.port, kind, ms, sleep) };
  }
}

type RedisFaultKind = 'restart redis' | 'freeze redis' | 'flush scripts' | RefusalKind;
