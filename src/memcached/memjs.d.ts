/** The part of memjs that Toril uses: the codec of the binary protocol. */
declare module 'memjs' {
  export interface Header {
    readonly magic: number;
    readonly opcode: number;
    readonly keyLength: number;
    readonly extrasLength: number;
    readonly status: number;
    readonly totalBodyLength: number;
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
