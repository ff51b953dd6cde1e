/** A codec for cells that hold nothing but JSON and the token of their last write. */
import type { CellCodec } from '../../src/lock/strict/cell-codec.ts';
import type { DrawnToken } from '../../src/lock/lock.ts';
import { TorilError } from '../../src/errors.ts';

const FLAGS = 0x4a53_0001;

interface Content {
  readonly value?: unknown;
  readonly token: number;
}

/** Of whoever looks without a lease. */
export const NOBODY: DrawnToken = {
  token: Number.MAX_SAFE_INTEGER,
  dataSet: { id: 'nobody', madeAt: Number.MAX_SAFE_INTEGER },
};

export const jsonCodec: CellCodec = {
  decode(item) {
    if (item.flags !== FLAGS) throw new TorilError('FOREIGN_VALUE', 'not a cell of these tests.');
    return (JSON.parse(item.value.toString()) as Content).value;
  },
  encode: (value, { token }) => stored({ value, token }),
  placeholder: () => stored({ token: 0 }),
};

function stored(content: Content): ReturnType<CellCodec['placeholder']> {
  return { value: Buffer.from(JSON.stringify(content)), flags: FLAGS, ttlSeconds: 0 };
}
