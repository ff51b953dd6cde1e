/** The envelopes of the checks, parsed once per text. They share no code with the product. */
export interface SeenEnvelope<Entry> {
  readonly placeholder?: boolean;
  readonly token: number;
  readonly base: number;
  readonly value: readonly Entry[];
}

export class SeenEnvelopes<Entry> {
  readonly #parsed = new Map<string, SeenEnvelope<Entry>>();

  /** Undefined: no value is there. */
  read(text: string): SeenEnvelope<Entry> | undefined {
    if (text === '') return undefined;
    let envelope = this.#parsed.get(text);
    if (envelope === undefined) {
      envelope = JSON.parse(text) as SeenEnvelope<Entry>;
      this.#parsed.set(text, envelope);
    }
    return envelope.placeholder === true ? undefined : envelope;
  }
}
