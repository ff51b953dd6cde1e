/** Guards of what is made of recordings with joint commits: values made anew behind a mask. */
import { byTest, edit } from './history-twins.ts';
import type { Twin } from './twin.ts';

const MASKING = 'test/unit/history/masking-joint.test.ts';

export const MASKING_TWINS: readonly Twin[] = [
  {
    name: 'mask-blesses-values',
    guard: 'a mask makes no values anew by updates that do not make the true ones',
    hunt: byTest(MASKING),
    edits: [
      edit(
        'recording/remaking.ts',
        '    const at = pairs.findIndex(({ plain }) => plain.difference !== undefined);\n',
        '    const at = pairs.findIndex(({ plain }) => plain.tally.restarts < 0);\n',
      ),
    ],
  },
];
