/** What is chosen: the guard that is off, the faults that strike, the seed. */
import type { FaultKind } from '../../../test/simulation/faults.ts';
import type { Request } from '../messages.ts';
import { FAULT_KINDS, type Setup } from '../setup.ts';
import { FAULTS, GUARDS } from '../words.ts';
import { button, element } from './elements.ts';

const ALL_ON = 'Every guard is on. Whatever strikes, every promise must be kept.';

export class Form {
  readonly element: HTMLFormElement;
  readonly #guard: HTMLSelectElement;
  readonly #meaning = element('p', { class: 'meaning', id: 'playground-meaning' });
  readonly #seed: HTMLInputElement;
  readonly #severalKeys = element('input', { type: 'checkbox' });
  readonly #faults = new Map<FaultKind, HTMLInputElement>();
  readonly #picked = element('summary');

  constructor(onAsk: (request: Request) => void) {
    const options = Object.entries(GUARDS).map(([name, { label }]) =>
      element('option', { value: name }, label),
    );
    this.#guard = element(
      'select',
      { 'aria-describedby': 'playground-meaning' },
      element('option', { value: '' }, 'none'),
      ...options,
    );
    this.#seed = element('input', { type: 'number', min: 0, step: 1, required: true });
    this.#guard.addEventListener('change', () => this.#tell());
    const ask = (kind: Request['kind']): void => {
      if (this.element.reportValidity()) onAsk({ kind, setup: this.#setup() });
    };
    this.element = element(
      'form',
      { 'aria-label': 'What is simulated' },
      element('label', {}, 'Guard that is off', this.#guard),
      this.#meaning,
      this.#faultsPart(),
      element('label', { class: 'box' }, this.#severalKeys, 'also jobs that change several keys'),
      element(
        'div',
        { class: 'row' },
        element('label', {}, 'Seed', this.#seed),
        element('button', { type: 'submit', class: 'main' }, 'Run this seed'),
        button('Find a seed that breaks a promise', () => ask('search')),
      ),
    );
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      ask('run');
    });
  }

  show({ seed, guard, faults, severalKeys }: Setup): void {
    this.#guard.value = guard ?? '';
    this.#seed.value = String(seed);
    this.#severalKeys.checked = severalKeys;
    for (const [kind, box] of this.#faults) box.checked = faults.includes(kind);
    this.#tell();
  }

  #setup(): Setup {
    return {
      seed: this.#seed.valueAsNumber,
      guard: this.#guard.value || undefined,
      faults: this.#pickedFaults(),
      severalKeys: this.#severalKeys.checked,
    };
  }

  #pickedFaults(): FaultKind[] {
    return FAULT_KINDS.filter((kind) => this.#faults.get(kind)?.checked);
  }

  #faultsPart(): HTMLElement {
    const boxes = FAULT_KINDS.map((kind) => {
      const box = element('input', { type: 'checkbox' });
      this.#faults.set(kind, box);
      return element('label', { class: 'box' }, box, FAULTS[kind]);
    });
    const part = element(
      'details',
      {},
      this.#picked,
      element(
        'fieldset',
        {},
        element('legend', {}, 'What may strike'),
        element('div', { class: 'faults' }, ...boxes),
      ),
    );
    part.addEventListener('change', () => this.#tell());
    return part;
  }

  /** What follows from the choices, in words. */
  #tell(): void {
    this.#meaning.textContent = GUARDS[this.#guard.value]?.meaning ?? ALL_ON;
    const { length } = this.#pickedFaults();
    this.#picked.textContent = `Faults: ${length === 0 ? 'those that the seed draws' : `${length} picked`}`;
  }
}
