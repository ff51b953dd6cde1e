/** A map that begins anew once it is full: for what is of use to remember, and of little harm to forget. */
export class ForgetfulMap<Key, Value> extends Map<Key, Value> {
  readonly #sizeMax: number;

  constructor(sizeMax: number) {
    super();
    this.#sizeMax = sizeMax;
  }

  override set(key: Key, value: Value): this {
    if (this.size >= this.#sizeMax && !this.has(key)) this.clear();
    return super.set(key, value);
  }
}
