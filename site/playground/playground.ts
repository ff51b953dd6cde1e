/** The playground: what is chosen, a worker that simulates it, and the run on a time line. */
import type { Answer, Request } from './messages.ts';
import { linkOf, setupOf, type Setup } from './setup.ts';
import type { Story } from './story.ts';
import { element } from './view/elements.ts';
import { Form } from './view/form.ts';
import { Stage } from './view/stage.ts';

/** Where nothing else is asked for: a run in which P1 breaks within a few moments. */
const FIRST: Setup = { seed: 6, guard: 'no CAS on cells', faults: [], severalKeys: false };

/** @returns takes it out of the page again */
export function mount(root: HTMLElement): () => void {
  const playground = new Playground(root);
  return () => playground.remove();
}

class Playground {
  readonly #root: HTMLElement;
  readonly #form = new Form((request) => this.#ask(request));
  readonly #said = element('p', { class: 'said', role: 'status' });
  readonly #place = element('div');
  #worker: Worker | undefined;
  #stage: Stage | undefined;

  constructor(root: HTMLElement) {
    this.#root = root;
    root.replaceChildren(this.#form.element, this.#said, this.#place);
    globalThis.addEventListener('hashchange', this.#follow);
    this.#start(setupOf(location.hash.slice(1)) ?? FIRST);
  }

  remove(): void {
    globalThis.removeEventListener('hashchange', this.#follow);
    this.#stage?.end();
    this.#worker?.terminate();
    this.#root.replaceChildren();
  }

  readonly #follow = (): void => {
    const setup = setupOf(location.hash.slice(1));
    if (setup !== undefined) this.#start(setup);
  };

  #start(setup: Setup): void {
    this.#form.show(setup);
    this.#ask({ kind: 'run', setup });
  }

  /** What is under way for an earlier request is given up. */
  #ask(request: Request): void {
    this.#worker?.terminate();
    this.#worker = new Worker(new URL('simulation.js', import.meta.url), { type: 'module' });
    this.#worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => this.#hear(data));
    this.#worker.addEventListener('error', ({ message }) =>
      this.#say(`The simulation could not be run here: ${message}`),
    );
    this.#say(request.kind === 'run' ? 'Running …' : 'Looking for a seed …');
    this.#worker.postMessage(request);
  }

  #hear(answer: Answer): void {
    if (answer.kind === 'tried')
      return this.#say(`${answer.seeds} seeds kept every promise so far …`);
    if (answer.kind === 'none')
      return this.#say(`${answer.seeds} seeds, and every promise was kept.`);
    this.#show(answer.story);
  }

  #show(story: Story): void {
    const { setup, broken, moments } = story;
    this.#form.show(setup);
    history.replaceState(history.state, '', `#${linkOf(setup)}`);
    this.#stage?.end();
    this.#stage = new Stage(story);
    this.#place.replaceChildren(this.#stage.element);
    this.#stage.begin();
    const verdict =
      broken === undefined
        ? `every promise was kept, in ${moments.length} moments.`
        : `${broken.promise} is broken: ${broken.what}`;
    this.#say(`Seed ${setup.seed}: ${verdict}`, broken !== undefined);
  }

  #say(what: string, isBroken = false): void {
    this.#said.textContent = what;
    this.#said.classList.toggle('is-broken', isBroken);
  }
}
