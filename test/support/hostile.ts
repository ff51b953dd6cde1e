/** What updates may throw, to try what comes of it. */
const trap = (): never => {
  throw new Error('trap');
};

/** An error with a getter that throws. */
function slip(member: string): Error {
  return Object.defineProperty(new Error('slip'), member, { get: trap });
}

class MessageSlip extends Error {
  override get message(): string {
    return (this as unknown as { details: { text: string } }).details.text;
  }
}

function circle(): Error {
  const error = new Error('circle');
  error.cause = error;
  return error;
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** By what is odd about them; made anew each time. */
export const hostileThings: Readonly<Record<string, () => unknown>> = {
  'a getter of the message': () => slip('message'),
  'a getter of its class': () => new MessageSlip(),
  'a getter of the stack': () => slip('stack'),
  'a getter of the name': () => slip('name'),
  'a getter of the code': () => slip('code'),
  'a getter of the constructor': () => slip('constructor'),
  'a message that is no text': () => Object.assign(new Error(), { message: { toString: null } }),
  'a message that is a symbol': () => Object.assign(new Error(), { message: Symbol('m') }),
  'a stack that is no text': () => Object.assign(new Error('s'), { stack: { circle: circle() } }),
  'a name that is no text': () => Object.assign(new Error('n'), { name: 7 }),
  'a huge message': () => new Error('m'.repeat(3_000_000)),
  'a cause that is itself': circle,
  'a frozen error': () => Object.freeze(new Error('frozen')),
  'an error whose class is not known': () => Object.setPrototypeOf(new Error('bare'), null),
  'a proxy': () => new Proxy({}, { getPrototypeOf: trap, get: trap, has: trap }),
  'a proxy of an error': () => new Proxy(new Error('behind'), { get: trap }),
  'a revoked proxy': revoked,
  'an object without a prototype': () => Object.create(null) as unknown,
  'an object whose toString throws': () => ({ toString: trap, [Symbol.toPrimitive]: trap }),
  'a function': () => trap,
  'a symbol': () => Symbol('thrown'),
  'a huge text': () => 't'.repeat(3_000_000),
  'an empty text': () => '',
  'a bigint': () => 7n,
  nothing: () => undefined,
  null: () => null,
};
