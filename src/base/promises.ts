/**
 * What follows from a value that may be there already: then without a promise, since promises cost, and most of what
 * is called here is synchronous. It takes a closure: what runs for each job does without one and asks by itself.
 */
export function andThen<T, R>(
  value: T | Promise<T>,
  follow: (settled: T) => R | Promise<R>,
): R | Promise<R> {
  return value instanceof Promise ? value.then(follow) : follow(value);
}

/** Whatever has a `then`: promises of other libraries, too. */
export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}
