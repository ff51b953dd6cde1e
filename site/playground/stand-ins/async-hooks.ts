/** A browser has no asynchronous contexts; the simulated updates look for none. */
export class AsyncResource {
  runInAsyncScope<Result>(call: () => Result): Result {
    return call();
  }
}
