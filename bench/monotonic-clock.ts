/** A clock that all processes of this machine share, so that a start here and an end there compare. */

/** Not `performance.now()`, which begins anew in every process. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
