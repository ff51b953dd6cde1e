/** Faults of processes: killed, frozen, replaced, unplugged, and clocks that are wrong for a while. */
import { type Deed, during, pick } from './deed.ts';
import type { Member } from './member.ts';
import type { Fault } from './schedule.ts';
import type { Site } from './site.ts';

/** By which a clock jumps, ahead or behind; at the fault's end it jumps back. */
const CLOCK_JUMP_MS = 3_600_000;

export function memberDeed(site: Site, { kind, ms, target, whose }: Fault): Deed | undefined {
  const member = pick(kind.includes('producer') ? site.producers : site.workers, target);
  const { name, home } = member;
  switch (kind) {
    case 'partition worker':
    case 'partition producer':
      if (site.network.missing !== undefined) return undefined;
      return {
        targets: [`network of ${name}`],
        act: () =>
          during(
            ms,
            () => home.plug(false),
            () => home.plug(true),
          ),
      };
    case 'freeze worker':
    case 'freeze producer':
      return {
        targets: [name],
        act: () =>
          during(
            ms,
            () => member.freeze(),
            () => member.thaw(),
          ),
      };
    case 'jump worker clock':
    case 'jump producer clock': {
      const byMs = whose < 0.5 ? CLOCK_JUMP_MS : -CLOCK_JUMP_MS;
      return {
        targets: [name],
        act: () =>
          during(
            ms,
            () => member.order(`clock ${byMs}`),
            () => member.order('clock 0'),
          ),
      };
    }
    case 'stock client':
    case 'second data set': {
      const guest = kind === 'stock client' ? site.meddler : site.stranger;
      return {
        targets: [guest.name],
        act: () =>
          during(
            ms,
            () => guest.order('go'),
            () => guest.order('rest'),
          ),
      };
    }
    default: {
      const end = kind === 'replace worker' ? () => member.close() : () => member.kill();
      return { targets: [name], act: () => during(ms, end, () => startAgain(site, member)) };
    }
  }
}

export async function startAgain(site: Site, member: Member): Promise<void> {
  await member.start();
  if (site.producers.includes(member)) await member.order('go');
}
