import { describe, expect, it } from 'vitest';
import { RedisTokens, type ScriptClient } from '../../../src/lock/strict/tokens.ts';
import { MemoryTokens } from '../../support/memory-tokens.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

describe('fencing tokens from memory', () => {
  it('are the time in microseconds, and grow even within one', async () => {
    const clock = new VirtualClock();
    const tokens = new MemoryTokens(clock);
    const { token: first } = await tokens.drawToken();
    expect(first).toBe(clock.wallMs() * 1000);
    expect((await tokens.drawToken()).token).toBe(first + 1);
  });

  it('grow when the clock is set back', async () => {
    const clock = new VirtualClock();
    const tokens = new MemoryTokens(clock);
    const { token: first } = await tokens.drawToken();
    clock.moveWall(-60_000);
    expect((await tokens.drawToken()).token).toBe(first + 1);
  });
});

describe('fencing tokens from Redis', () => {
  /** A client whose script answers so. */
  function answering(answer: unknown): ScriptClient {
    return { defineCommand: () => {}, runCommand: () => Promise.resolve(answer) };
  }

  it.each(['0', '-1', 'nonsense', null, '9007199254740993', '1.5'])(
    'are refused if they are %j',
    async (answer) => {
      const tokens = new RedisTokens({
        client: answering([answer, 'id 1']),
        prefix: 'p',
        queue: 'q',
      });
      await expect(tokens.drawToken()).rejects.toThrow('the fencing token');
    },
  );
});
