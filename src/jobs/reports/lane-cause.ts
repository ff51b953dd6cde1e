/** What a lane waits for in the end, if its first job waits for other lanes, which may wait for others. */
import type { LaneState } from './lane-report.ts';

/** Lanes that are looked at. Each waits for a job that entered earlier, so there is an end. */
const LANES_MAX = 16;

/** The state with its cause, as `look` tells the states of other keys. */
export async function withCause(
  state: LaneState,
  look: (key: string) => Promise<LaneState>,
): Promise<LaneState> {
  if (state.kind !== 'other-lane') return state;
  let { forKey: key } = state;
  for (let lanes = 0; lanes < LANES_MAX; lanes++) {
    const its = await look(key);
    if (its.kind === 'empty') return state; // it has gone on since
    if (its.kind !== 'other-lane') return { ...state, cause: { key, state: its } };
    key = its.forKey;
  }
  return state;
}
