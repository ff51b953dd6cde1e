/** What JSON cannot give back, found by the compiler. The run-time check is json-value.ts. */

type Scalar = string | number | boolean | null | undefined;
type Method = (...args: never[]) => unknown;

/** By name: what the error says. Structural: a class of the user's own with the same members is found as well. */
type NameOf<T> = T extends bigint
  ? 'a bigint'
  : T extends symbol
    ? 'a symbol'
    : T extends Method
      ? 'a function'
      : T extends Date
        ? 'a Date'
        : T extends ReadonlyMap<unknown, unknown>
          ? 'a Map'
          : T extends ReadonlySet<unknown>
            ? 'a Set'
            : T extends RegExp
              ? 'a RegExp'
              : T extends ArrayBufferView | ArrayBuffer
                ? 'bytes'
                : T extends Promise<unknown>
                  ? 'a Promise'
                  : never;

type IsAny<T> = 0 extends 1 & T ? true : false;

/**
 * Where a type holds what JSON cannot give back, as texts; `never` if nowhere. Looks eight levels deep: a type
 * that contains itself has no end. Says nothing of `any` and `unknown`.
 */
export type JsonProblem<T, Path extends string = 'value', Depth extends 0[] = []> =
  IsAny<T> extends true
    ? never
    : Depth['length'] extends 8
      ? never
      : T extends Scalar
        ? never
        : [NameOf<T>] extends [never]
          ? T extends readonly (infer Item)[]
            ? JsonProblem<Item, `${Path}[]`, [...Depth, 0]>
            : T extends object
              ? {
                  [K in keyof T & (string | number)]: JsonProblem<
                    T[K],
                    `${Path}.${K}`,
                    [...Depth, 0]
                  >;
                }[keyof T & (string | number)]
              : never
          : `${Path} is ${NameOf<T>}, which JSON does not give back`;
