/** Gives everything that reads the same one small number, so that states are compared as numbers. */
export class Interned<Thing> {
  readonly #byText = new Map<string, number>();
  readonly #things: Thing[] = [];
  readonly #texts: string[] = [];

  /** `text` must tell things apart that are not the same. */
  idOf(text: string, thing: Thing): number {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const id = this.#things.length;
    this.#byText.set(text, id);
    this.#things.push(thing);
    this.#texts.push(text);
    return id;
  }

  get(id: number): Thing {
    return this.#things[id] as Thing;
  }

  text(id: number): string {
    return this.#texts[id] as string;
  }
}
