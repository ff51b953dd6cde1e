/** The parts of memjs that Toril, its tests or its guide look at. */
declare module 'memjs' {
  export interface Header {
    readonly opcode: number;
    readonly status: number;
    readonly opaque: number;
    /** 8 bytes, a view into the message. */
    readonly cas: Buffer;
  }

  /** Views into the message. */
  export interface Message {
    readonly header: Header;
    readonly key: Buffer;
    readonly extras: Buffer;
    readonly val: Buffer;
  }

  export class Client {
    static create(servers?: string, options?: Readonly<Record<string, unknown>>): Client;
    readonly servers: { host: string; port: number; username?: string; password?: string }[];
    getServer: (key: string) => number;
    perform(...args: unknown[]): unknown;
    get(name: string): Promise<{ readonly value: Buffer | null }>;
    set(name: string, value: string, options: { readonly expires?: number }): Promise<boolean>;
    close(): void;
  }

  export const Utils: {
    makeRequestBuffer(
      opcode: number,
      key: Buffer | string,
      extras: Buffer | string,
      value: Buffer | string,
      opaque: number,
    ): Buffer;
    /** False if the message is not complete, or its lengths contradict each other. */
    parseMessage(bytes: Buffer): Message | false;
  };
}
