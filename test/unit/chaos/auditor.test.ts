/** That the chaos's auditor sees what it is for: a history without a flaw, and one flaw at a time. */
import { describe, expect, it } from 'vitest';
import { audit } from '../../chaos/auditor.ts';
import type { Effect } from '../../chaos/meddling.ts';
import type { Commit, EndState, FinalJob } from '../../chaos/end-state.ts';
import type { Event, Happened, Operation, UpdateName, Value } from '../../chaos/history.ts';

const KEY = 'key-0';
const GENESIS: Value = { n: 0, h: '' };
/** Three jobs, one after the other, each committed alone by a worker of its own. */
const OPS = ['a', 'b', 'c'];
const STRANGE: Value = { n: 1, h: 'strange' };
const value = (n: number): Value => ({ n, h: `h${n}` });

class Story {
  readonly events: Happened[] = [];
  readonly jobs = new Map<string, FinalJob>();
  commits: Commit[] = [];
  copy: Value = value(3);
  #us = 1_000;

  constructor() {
    OPS.forEach((op, at) => {
      this.tell('producer', { e: 'asked', ...operation(op) });
      this.tell('producer', { e: 'enqueued', op, jobId: op });
      this.call(op, at);
      this.tell('reader', read(at + 1));
      this.tell(`worker-${at}`, { e: 'completed', jobId: op, result: value(at + 1) });
      this.jobs.set(op, { state: 'completed', result: value(at + 1), reason: '', attempts: 1 });
      this.commits.push({
        key: KEY,
        token: tokenOf(at),
        base: at && tokenOf(at - 1),
        applied: [op],
      });
    });
  }

  call(
    op: string,
    at: number,
    changes: { by?: string; token?: number; sequence?: number } = {},
  ): void {
    const { by = `worker-${at}`, ...more } = changes;
    const saw = at === 0 ? GENESIS : value(at);
    const made = value(at + 1);
    const call = { key: KEY, op, jobId: op, update: 'append' as UpdateName, attempt: 1, saw, made };
    this.tell(by, { e: 'called', ...call, sequence: at + 1, token: tokenOf(at), ...more });
  }

  tell(by: string, event: Event): void {
    this.events.push({ ...event, us: (this.#us += 10), by });
  }

  /** Replaces events of a kind, or takes them away. */
  change<Kind extends Event['e']>(
    kind: Kind,
    edit: (event: Extract<Happened, { e: Kind }>) => object | undefined,
  ): this {
    for (const [at, event] of this.events.entries()) {
      if (event.e !== kind) continue;
      const edited = edit(event as Extract<Happened, { e: Kind }>);
      this.events[at] = (edited ?? { ...event, e: 'fault' }) as Happened;
    }
    return this;
  }

  /** The promises that the auditor finds broken. */
  broken(): string[] {
    const end: EndState = {
      jobs: this.jobs,
      copies: new Map([[KEY, { token: tokenOf(2), value: this.copy }]]),
      commits: this.commits,
    };
    return [...new Set(audit(this.events, end).map(({ promise }) => promise))].toSorted();
  }
}

const tokenOf = (at: number): number => 100 + at;

function operation(op: string): Operation {
  return { op, key: KEY, update: 'append', named: true, failures: 0, attempts: 1 };
}

function meddled(effect: Effect, jobIds?: readonly string[], sinceUs = 0): Event {
  return { e: 'meddled', call: '', sinceUs, effect, finished: false, ...(jobIds && { jobIds }) };
}

function read(n: number, server = 0): Event {
  return { e: 'read', server, key: KEY, sinceUs: 0, token: 1, value: value(n) };
}

describe('the auditor of the chaos', () => {
  it('finds nothing in a history without a flaw', () => {
    expect(new Story().broken()).toEqual([]);
  });

  it('does not mind an update that was called again with the same outcome', () => {
    const story = new Story();
    story.call('b', 1, { by: 'worker-9', token: 150 });
    expect(story.broken()).toEqual([]);
  });

  const flaws: Record<string, [promises: string[], spoil: (story: Story) => unknown]> = {
    'a value that no call made': [
      ['P1', 'P3', 'P4'],
      (story) => story.change('called', (call) => (call.op === 'b' ? undefined : call)),
    ],
    'a job in the chain twice': [
      ['P1', 'P3', 'P4'],
      (story) =>
        story.change('called', (call) => (call.op === 'c' ? { ...call, jobId: 'b' } : call)),
    ],
    'sequences that go down': [
      ['P2'],
      (story) => story.change('called', (call) => ({ ...call, sequence: 10 - call.sequence })),
    ],
    'a job behind one that was asked for only after it was enqueued': [
      ['P2'],
      (story) =>
        story.change('asked', (asked) => ({ ...asked, us: asked.op === 'a' ? 9_000 : asked.us })),
    ],
    'tokens that go down': [
      ['P5'],
      (story) => {
        story.change('called', (call) => ({ ...call, token: call.op === 'b' ? 99 : call.token }));
        story.commits[1] = { ...(story.commits[1] as Commit), token: 99 };
        story.commits[2] = { ...(story.commits[2] as Commit), base: 99 };
      },
    ],
    'a token given to two workers': [['P5'], (story) => story.call('b', 1, { by: 'worker-9' })],
    'a commit that was built on another than the one before': [
      ['P1'],
      (story) => (story.commits[2] = { ...(story.commits[2] as Commit), base: tokenOf(0) }),
    ],
    'a commit under a token that its update was not given': [
      ['P5'],
      (story) => (story.commits[2] = { ...(story.commits[2] as Commit), token: 170 }),
    ],
    'a strict update that a fenced store would have refused': [
      ['P5'],
      (story) => {
        const { us } = story.events.find(
          (event) => event.e === 'called' && event.op === 'b',
        ) as Happened;
        story.call('b', 1, { by: 'worker-9', token: 150 });
        Object.assign(story.events.at(-1) as object, { us: us - 1 });
        story.change('called', (call) => ({ ...call, update: 'strict' }));
        story.events.sort((a, b) => a.us - b.us);
      },
    ],
    'a completed job that is not in the chain': [
      ['P3', 'P4'],
      (story) => {
        story.tell('producer', { e: 'asked', ...operation('d') });
        story.tell('producer', { e: 'enqueued', op: 'd', jobId: 'd' });
        story.jobs.set('d', { state: 'completed', result: value(4), reason: '', attempts: 1 });
      },
    ],
    'an enqueued job that is gone': [
      ['P4'],
      (story) => {
        story.tell('producer', { e: 'asked', ...operation('d') });
        story.tell('producer', { e: 'enqueued', op: 'd', jobId: 'd' });
      },
    ],
    "somebody else's result": [
      ['P3'],
      (story) => {
        story.jobs.set('b', { state: 'completed', result: value(3), reason: '', attempts: 1 });
      },
    ],
    'a job that was completed with two results': [
      ['P3'],
      (story) => story.tell('worker-9', { e: 'completed', jobId: 'b', result: value(3) }),
    ],
    'a job that still waits': [
      ['P3'],
      (story) => story.jobs.set('c', { state: 'waiting', reason: '', attempts: 0 }),
    ],
    'an attempt that was charged for nothing': [
      ['P7'],
      (story) => story.jobs.set('b', { ...(story.jobs.get('b') as FinalJob), attempts: 2 }),
    ],
    'a failure that is not the own one': [
      ['P7'],
      (story) => story.tell('worker-9', { e: 'failed', jobId: 'b', reason: 'job stalled' }),
    ],
    'a reader that sees a value go back': [['P1', 'P4'], (story) => story.tell('reader', read(2))],
    'a reader that sees what no update made': [
      ['P1', 'P4'],
      (story) => story.tell('reader', { ...read(4) } as Event),
    ],
    'a cell on two servers': [['P1'], (story) => story.tell('reader', read(3, 1))],
    'a copy that is behind': [['P1', 'P3', 'P4'], (story) => (story.copy = value(2))],
    'what was asked for once and became two jobs': [
      ['P3', 'P4'],
      (story) => {
        story.call('a', 0);
        Object.assign(story.events.at(-1) as object, { jobId: 'a2' });
        story.jobs.set('a2', story.jobs.get('a') as FinalJob);
      },
    ],
    'a delayed job that comes too early': [
      ['P2'],
      (story) => story.change('asked', (asked) => ({ ...asked, way: 'delayed', delayMs: 60 })),
    ],
    'a parent that comes before its child': [
      ['P2'],
      (story) =>
        story.change('asked', (asked) =>
          asked.op === 'a' ? { ...asked, way: 'parent', children: ['b'] } : asked,
        ),
    ],
    'a job that is gone, though it was completed before the queue was drained': [
      ['P3', 'P4'],
      (story) => {
        story.jobs.delete('a');
        story.tell('meddler', meddled('removed', undefined, 100_000));
      },
    ],
    'another data set that goes on from our value': [
      ['P9'],
      (story) => story.tell('stranger', { e: 'strange', key: KEY, saw: value(2), made: STRANGE }),
    ],
    'another data set that writes over our value': [
      ['P9'],
      (story) => {
        story.tell('stranger', { e: 'strange', key: KEY, saw: GENESIS, made: STRANGE });
        story.tell('reader', { ...read(1), value: STRANGE } as Event);
        story.tell('reader', read(3));
      },
    ],
    'a job that is gone, though it was asked for after Redis had gone back': [
      ['P4'],
      (story) => {
        story.tell('chaos', { e: 'wentBack', fromUs: 0 });
        story.tell('producer', { e: 'asked', ...operation('d') });
        story.tell('producer', { e: 'enqueued', op: 'd', jobId: 'd' });
      },
    ],
    'a key that began anew': [
      ['P4'],
      (story) => story.tell('worker-0', { e: 'gate', name: 'cellLost', key: KEY, more: '' }),
    ],
  };

  it.each(Object.entries(flaws))('finds %s', (_, [promises, spoil]) => {
    const story = new Story();
    spoil(story);
    expect(story.broken()).toEqual(promises);
  });

  it('expects of a job that a stock client removed that it was applied once, or not at all', () => {
    const story = new Story();
    story.jobs.delete('b');
    story.tell('producer', { e: 'asked', ...operation('d') });
    story.tell('producer', { e: 'enqueued', op: 'd', jobId: 'd' });
    story.tell('meddler', meddled('removed', ['b', 'd']));
    expect(story.broken()).toEqual([]);
  });

  it("expects the same of one of a scheduler's jobs, which has an id of its own", () => {
    const jobId = 'repeat:b:1';
    const story = new Story();
    story.change('asked', (asked) =>
      asked.op === 'b' ? { ...asked, way: 'scheduled', named: false } : asked,
    );
    story.change('enqueued', (event) => (event.op === 'b' ? undefined : event));
    story.change('called', (call) => (call.op === 'b' ? { ...call, jobId } : call));
    story.change('completed', (event) => (event.jobId === 'b' ? { ...event, jobId } : event));
    story.commits = story.commits.map((commit, at) =>
      at === 1 ? { ...commit, applied: [jobId] } : commit,
    );
    story.jobs.delete('b');
    expect(story.broken()).toEqual(['P3', 'P4']);
    story.tell('meddler', meddled('removed', [jobId]));
    expect(story.broken()).toEqual([]);
  });

  it('lets Redis forget a job that was on its way when it went back', () => {
    const story = new Story();
    story.tell('producer', { e: 'asked', ...operation('d') });
    story.tell('producer', { e: 'enqueued', op: 'd', jobId: 'd' });
    story.tell('chaos', { e: 'wentBack', fromUs: 1_100 });
    story.tell('worker-0', { e: 'gate', name: 'laneHeld', key: KEY, more: 'REDIS_WENT_BACK' });
    expect(story.broken()).toEqual([]);
  });

  it('does not mind what another data set writes where memcached had lost the value', () => {
    const story = new Story();
    story.tell('stranger', { e: 'strange', key: KEY, saw: GENESIS, made: STRANGE });
    story.tell('reader', { ...read(1), value: STRANGE } as Event);
    story.tell('chaos', { e: 'lost', server: 0, fromUs: 0 });
    story.tell('reader', read(3));
    expect(story.broken()).toEqual([]);
  });

  it('expects the same of all that were not completed when a stock client drained the queue', () => {
    const story = new Story();
    story.tell('producer', { e: 'asked', ...operation('d') });
    story.tell('producer', { e: 'enqueued', op: 'd', jobId: 'd' });
    story.tell('meddler', meddled('removed', undefined, 100_000));
    expect(story.broken()).toEqual([]);
  });

  it('expects the same of one that was completed and retried before', () => {
    const story = new Story();
    story.jobs.delete('a');
    story.tell('meddler', meddled('removed', undefined, 100_000));
    expect(story.broken()).toEqual(['P3', 'P4']);
    story.tell('meddler', meddled('retried', ['a']));
    expect(story.broken()).toEqual([]);
  });

  it('does not mind a job that failed, if a stock client has retried it', () => {
    const story = new Story();
    story.change('asked', (asked) =>
      asked.op === 'b' ? { ...asked, failures: 1, attempts: 1 } : asked,
    );
    expect(story.broken()).toEqual(['P3']);
    story.tell('meddler', meddled('retried', ['b']));
    expect(story.broken()).toEqual([]);
  });

  it('lets a reader see values go back where memcached has lost some', () => {
    const story = new Story();
    story.tell('chaos', { e: 'lost', server: 0, fromUs: 0 });
    story.tell('reader', read(2));
    story.tell('reader', read(3));
    expect(story.broken()).toEqual([]);
  });

  it.each([
    ['lets him see a value go that only a later holder could have Redis take', tokenOf(2) - 1, []],
    ['does not, where nobody had to make it again', tokenOf(2), ['P1']],
  ])('behind a loss, %s', (_, token, broken) => {
    const story = new Story();
    const seen = (n: number, by: number): Event => {
      return { e: 'read', server: 0, key: KEY, sinceUs: 10_000, token: by, value: value(n) };
    };
    story.tell('chaos', { e: 'lost', server: 0, fromUs: 0 });
    story.tell('reader', seen(3, token));
    story.tell('reader', seen(2, tokenOf(1)));
    story.tell('reader', seen(3, tokenOf(2)));
    expect(story.broken()).toEqual(broken);
  });
});
