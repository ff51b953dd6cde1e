import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkLeaseMs,
  itemTtlSeconds,
  LEASE_MAX_MS,
  LEASE_MIN_MS,
  renewalDueMs,
  renewalRetryMs,
  takeoverDueMs,
  trustEndMs,
} from '../../../src/lock/lease.ts';
import { encodeLock, LOCK_FLAGS, parseLock } from '../../../src/lock/lock-item.ts';
import type { Item } from '../../../src/memcached/server.ts';

const leaseMs = fc.integer({ min: LEASE_MIN_MS, max: LEASE_MAX_MS });
/** performance.now() of a process that has run for up to ten years, with its fractions. */
const nowMs = fc.double({ min: 0, max: 3.2e11, noNaN: true });
const delayMs = fc.double({ min: 0, max: 1e7, noNaN: true });
/** Between the extremes to which chrony slews by default, 1/12, on one of the two machines. */
const rate = fc.double({ min: 1 - 0.083, max: 1 + 0.083, noNaN: true });

describe('the arithmetic of a lease', () => {
  it('never lets a contender take over before the holder stops trusting', () => {
    fc.assert(
      fc.property(
        leaseMs,
        nowMs,
        delayMs,
        delayMs,
        rate,
        (lease, sent, toServer, toContender, holderRate) => {
          // True time. The holder's clock runs at holderRate, the contender's at 1.
          const holderStops = sent + (trustEndMs(0, lease) - 0) / holderRate;
          const seen = sent + toServer + toContender;
          expect(takeoverDueMs(seen, lease)).toBeGreaterThanOrEqual(holderStops);
        },
      ),
    );
  });

  it('leaves room for a second renewal after a slow first one', () => {
    fc.assert(
      fc.property(leaseMs, nowMs, (lease, sent) => {
        const due = renewalDueMs(sent, lease);
        expect(due).toBeGreaterThan(sent);
        expect(renewalDueMs(due, lease)).toBeLessThan(trustEndMs(sent, lease));
        expect(renewalRetryMs(due, lease)).toBeLessThan(trustEndMs(sent, lease));
      }),
    );
  });

  it('lets the item live until a takeover would be due, however memcached rounds', () => {
    fc.assert(
      fc.property(leaseMs, (lease) => {
        const ttl = itemTtlSeconds(lease);
        expect(Number.isInteger(ttl)).toBe(true);
        expect(ttl).toBeGreaterThanOrEqual(3);
        expect(ttl).toBeLessThan(60 * 60 * 24 * 30);
        expect((ttl - 2) * 1000).toBeGreaterThanOrEqual(takeoverDueMs(0, lease));
      }),
    );
  });

  it('gives leases of less than a second an item that does expire', () => {
    expect(itemTtlSeconds(LEASE_MIN_MS)).toBe(3);
    expect(itemTtlSeconds(10_000)).toBe(14);
  });

  it.each([0, -1, 99, 99.5, 1000.5, LEASE_MAX_MS + 1, Number.NaN, Infinity])(
    'refuses a lease of %s ms',
    (bad) => {
      expect(() => checkLeaseMs(bad)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    },
  );

  it('accepts the shortest and the longest lease', () => {
    expect(() => checkLeaseMs(LEASE_MIN_MS)).not.toThrow();
    expect(() => checkLeaseMs(LEASE_MAX_MS)).not.toThrow();
  });
});

describe("the lock's item", () => {
  const owner = fc.stringMatching(/^[0-9a-f]{16}$/);

  it('is read as it was written', () => {
    fc.assert(
      fc.property(owner, leaseMs, (id, durationMs) => {
        const { value, flags } = encodeLock(id, durationMs);
        expect(parseLock({ value, flags, cas: 1n })).toEqual({ owner: id, durationMs });
      }),
    );
  });

  it.each([
    ['with a blank', 1000],
    ['', 1000],
    ['x'.repeat(65), 1000],
    ['abc', 99],
    ['abc', 1000.5],
  ])('is not written for the owner "%s" and %s ms: nobody could read it', (id, durationMs) => {
    expect(() => encodeLock(id, durationMs)).toThrow('cannot be');
  });

  it('is written for exactly those owners that can be read', () => {
    for (let code = 0; code < 0x180; code++) {
      const id = String.fromCharCode(code);
      const write = (): unknown => encodeLock(id, 1000);
      if (/[0-9a-zA-Z_-]/.test(id)) expect(write, id).not.toThrow();
      else expect(write, id).toThrow('cannot be');
    }
  });

  it('is not taken for one without the mark, whatever it holds', () => {
    const { value } = encodeLock('0123456789abcdef', 1000);
    expect(parseLock({ value, flags: 0, cas: 1n })).toBeUndefined();
  });

  it('is not taken for one when it holds anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const value = Buffer.from(bytes);
        const content = parseLock({ value, flags: LOCK_FLAGS, cas: 1n });
        if (content === undefined) return;
        expect(encodeLock(content.owner, content.durationMs).value).toEqual(value);
      }),
    );
  });

  it.each([
    '',
    'abc',
    'abc 5',
    'abc 1000 1',
    'a b 1000',
    'abc 01000',
    'abc 99999999999',
    'abc 1e3',
  ])('refuses "%s"', (text) => {
    expect(parseLock({ value: Buffer.from(text), flags: LOCK_FLAGS, cas: 1n })).toBeUndefined();
  });

  describe('without a value', () => {
    const chosen = (durationMs: number, chance = 5n): bigint =>
      (1n << 63n) | (chance << 24n) | BigInt(durationMs);
    const without = (cas: bigint): Item => ({ value: Buffer.alloc(0), flags: 0, cas });

    it('has its owner and duration in the CAS that its writer chose', () => {
      fc.assert(
        fc.property(leaseMs, fc.bigInt({ min: 0n, max: 2n ** 39n - 1n }), (durationMs, chance) => {
          const cas = chosen(durationMs, chance);
          expect(parseLock(without(cas))).toEqual({ owner: `cas-${cas}`, durationMs });
        }),
      );
    });

    it.each([
      ['a CAS that a counter gave', 2n ** 40n + 1000n],
      ['no lease', chosen(99)],
    ])('is none with %s', (_, cas) => {
      expect(parseLock(without(cas))).toBeUndefined();
    });

    it('is none with a value or flags', () => {
      const cas = chosen(1000);
      expect(parseLock({ ...without(cas), flags: 1 })).toBeUndefined();
      expect(parseLock({ ...without(cas), value: Buffer.from('x') })).toBeUndefined();
    });
  });
});
