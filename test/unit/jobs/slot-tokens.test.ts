import { expect, test } from 'vitest';
import { SlotTokens } from '../../../src/jobs/bullmq/fast-path/slot-tokens.ts';

const queueOf = (taken: number) => ({ numTotal: () => taken });

test('the main loop counts on, for as many slots as are free, and 31 at most', () => {
  const tokens = new SlotTokens('w');
  expect(tokens.following('w:0', queueOf(1), 4)).toEqual(['w:1', 'w:2', 'w:3']);
  expect(tokens.following('w:4', queueOf(4), 4)).toEqual([]);
  expect(tokens.following('w:5', queueOf(5), 4)).toEqual([]); // concurrency was lowered
  expect(tokens.following('w:6', queueOf(1), 100)).toHaveLength(31);
});

test('a slot that asks again, since its job was snoozed, is followed by other slots in use', () => {
  const tokens = new SlotTokens('w');
  const queue = queueOf(2);
  tokens.following('w:0', queue, 4);
  tokens.following('w:1', queue, 4);
  expect(tokens.following('w:0', queue, 4)).toEqual([]);
  expect(tokens.following('w:1', queue, 4)).toEqual([]);
  expect(tokens.following('w:2', queue, 4)).toEqual(['w:3', 'w:4']);
});

test('a new main loop counts from 0', () => {
  const tokens = new SlotTokens('w');
  tokens.following('w:7', queueOf(1), 4);
  const anew = queueOf(1);
  expect(tokens.following('w:0', anew, 4)).toEqual(['w:1', 'w:2', 'w:3']);
  expect(tokens.following('w:0', anew, 4)).toEqual([]);
});

test('nothing is foreseen for who fetches by hand', () => {
  const tokens = new SlotTokens('w');
  expect(tokens.following('mine', queueOf(1), 4)).toEqual([]);
  expect(tokens.following('other:0', queueOf(1), 4)).toEqual([]);
  expect(tokens.following('w:0', undefined, 4)).toEqual([]);
});

test('the main loop is expected to ask for as many slots as are free, each once', () => {
  const tokens = new SlotTokens('w');
  const taken = { slots: 1 };
  const queue = { numTotal: () => taken.slots };
  tokens.following('w:0', queue, 3);
  expect(['w:0', 'w:1', 'w:2', 'w:3'].map((token) => tokens.expects(token, queue, 3))).toEqual([
    ...[false, true, true, false],
  ]);
  taken.slots = 2; // another slot has got a job
  expect(tokens.expects('w:2', queue, 3)).toBe(false);
  tokens.following('w:2', queue, 3); // one was passed over
  expect(tokens.expects('w:1', queue, 3)).toBe(false);
  expect(tokens.expects('w:3', queueOf(1), 3)).toBe(false); // of another main loop
  expect(tokens.expects('w:3', null, 3)).toBe(false);
});
