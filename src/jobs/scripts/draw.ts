import { SEQUENCE_LUA } from '../../base/sequence-lua.ts';
import type { Script } from './script.ts';

/** Draws one number: a fencing token for a lock without a lane. KEYS[1] sequence. */
export const DRAW: Script = {
  name: 'torilDraw',
  numberOfKeys: 1,
  lua: `${SEQUENCE_LUA}
local token = draw()
saveDrawn()
return token
`,
};
