/** Types of guard.mjs for the tests; the scripts themselves are checked by scripts/tsconfig.json. */

/** Runs `script` (for /bin/sh; `args` are its $1, $2, ...) when this process ends, however it ends. Returns what stands it down. */
export function whenThisProcessEnds(script: string, args: string[]): () => void;
