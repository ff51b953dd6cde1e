/** What the page shows of jobs of several keys: their other keys, with links. */
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { createApp } from '../../../src/ui/app.ts';
import { Browsing } from '../../support/browsing.ts';
import { PlayedBoard, type PlayedLane } from '../../support/played-board.ts';

const KEYS = ['a', 'b'];
const LINK_TO_B = /<a href="\/key\?queue=bull%3Aaccounts&amp;key=b">/;

function browsing(lanes: readonly PlayedLane[]) {
  const board = new PlayedBoard(lanes);
  const authorize = (): { who: string; may: 'write' } => ({ who: 'ada', may: 'write' });
  const browser = new Browsing(createApp({ authorize }, [board], systemClock));
  return { board, browser };
}

test('a job in a lane and a commit name the other keys', async () => {
  const { board, browser } = browsing([{ key: 'a', keys: KEYS }, { key: 'b' }]);
  const job = { jobId: '7', name: 'transfer', dataJson: '{}', end: 'applied', attempt: 1 };
  board.commitsThere = {
    hasMore: false,
    commits: [2, 1].map((token) => ({
      ...{ id: `${token}-0`, atMs: token, token, valueJson: '1', recovered: false },
      jobs: [{ ...job, keys: KEYS }],
    })),
  };
  const { text } = await browser.get('/key?key=a');
  expect(text).toMatch(
    new RegExp(`withdraw</bdi> <span class="soft">with</span> ${LINK_TO_B.source}`),
  );
  expect(text).toMatch(new RegExp(`<bdi>7</bdi></span> with ${LINK_TO_B.source}`));
  expect(text).toContain('<title>token 2, with b</title>');
});

test('all keys are named before something is done, and in the audit trail', async () => {
  const { board, browser } = browsing([{ key: 'a' }, { key: 'b' }]);
  const path = '/act?key=a&action=drop&job=25';
  expect((await browser.get(path)).text).toMatch(
    /It concerns other keys as well: <strong><bdi>b<\/bdi><\/strong>/,
  );
  await browser.send(path);
  expect(board.audit.acts).toMatchObject([{ what: 'drop', key: 'a', keys: KEYS }]);
  expect((await browser.get('/audit')).text).toMatch(LINK_TO_B);
});

test('the key that a lane waits for is a link', async () => {
  const { browser } = browsing([
    {
      key: 'a',
      state: {
        ...{
          kind: 'other-lane',
          jobId: '25',
          name: 'transfer',
          keys: KEYS,
          forKey: 'b',
          before: 1,
        },
        ...{ first: { jobId: '9', name: 'deposit', ageMs: 4_000 }, failsInMs: undefined },
        cause: { key: 'b', state: { kind: 'paused' } },
      },
    },
  ]);
  const { text } = await browser.get('/key?key=a');
  expect(text).toMatch(new RegExp(`Go to ${LINK_TO_B.source}`));
});
