export function isNativeError(thing: unknown): boolean {
  return Object.prototype.toString.call(thing) === '[object Error]';
}
