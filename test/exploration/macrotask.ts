/** Promises are drained by the search itself, which it cannot do from within one. */
export function inMacrotask<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(work());
      } catch (thrown) {
        reject(thrown as Error);
      }
    });
  });
}
