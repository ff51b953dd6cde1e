/** The run as a picture: a row for each that took part, a column for each moment. */
import type { Moment, Sort, Story } from '../story.ts';
import { element, shape } from './elements.ts';

const COLUMN = 9;
const ROW = 24;
const NAMES = 92;
const MARK = 3.5;

export class TimeLine {
  readonly element: HTMLElement;
  readonly #drawing: HTMLElement;
  readonly #cursor: SVGElement;

  constructor({ actors, moments }: Story, onPick: (step: number) => void) {
    const width = moments.length * COLUMN;
    const height = actors.length * ROW;
    const yOf = (actor: string): number => (actors.indexOf(actor) + 0.5) * ROW;
    this.#cursor = shape('rect', { class: 'cursor', width: COLUMN, height, y: 0 });
    const svg = shape(
      'svg',
      { width, height, role: 'img', 'aria-label': `${moments.length} moments of the run` },
      this.#cursor,
      ...actors.map((actor) =>
        shape('line', { class: 'life', x1: 0, x2: width, y1: yOf(actor), y2: yOf(actor) }),
      ),
      ...moments.map((moment, step) => mark(moment, (step + 0.5) * COLUMN, yOf(moment.actor))),
    );
    svg.addEventListener('click', ({ clientX }) => {
      onPick(Math.floor((clientX - svg.getBoundingClientRect().left) / COLUMN));
    });
    // It can be scrolled by keyboard. Who cannot point uses the slider, which says the same in words.
    const focusable = { tabindex: 0, role: 'group', 'aria-label': 'Time line' };
    this.#drawing = element('div', { class: 'drawing', ...focusable }, svg);
    this.element = element(
      'div',
      { class: 'time-line' },
      element(
        'div',
        { class: 'names', style: `width:${NAMES}px`, 'aria-hidden': 'true' },
        ...actors.map((actor) => element('div', { style: `height:${ROW}px` }, actor)),
      ),
      this.#drawing,
    );
  }

  show(step: number): void {
    const x = step * COLUMN;
    this.#cursor.setAttribute('x', String(x));
    const { scrollLeft, clientWidth } = this.#drawing;
    if (x < scrollLeft || x > scrollLeft + clientWidth - 2 * COLUMN)
      this.#drawing.scrollLeft = x - clientWidth / 2;
  }
}

/** Each sort has a shape of its own, not only a colour. */
const SHAPES: Readonly<Record<Sort, string>> = {
  other: circle(MARK * 0.6),
  memcached: circle(MARK),
  redis: `M${-MARK} ${-MARK}h${2 * MARK}v${2 * MARK}h${-2 * MARK}z`,
  bullmq: `M0 ${-MARK - 1}L${MARK + 1} 0L0 ${MARK + 1}L${-MARK - 1} 0z`,
  update: `M${-MARK} ${-MARK - 1}L${MARK + 1} 0L${-MARK} ${MARK + 1}z`,
  fault: `M0 ${-MARK - 2}L${MARK + 2} ${MARK + 1}H${-MARK - 2}z`,
  broken: `M${-MARK - 1} ${-MARK - 1}l${2 * MARK + 2} ${2 * MARK + 2}m0 ${-2 * MARK - 2}l${-2 * MARK - 2} ${2 * MARK + 2}`,
};

function circle(radius: number): string {
  return `M${-radius} 0a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`;
}

function mark({ sort, what }: Moment, x: number, y: number): SVGElement {
  const text = shape('title', {}, what);
  return shape('path', { class: sort, transform: `translate(${x} ${y})`, d: SHAPES[sort] }, text);
}

const MEANINGS: readonly (readonly [Sort, string])[] = [
  ['fault', 'a fault strikes'],
  ['update', 'an update is applied'],
  ['memcached', 'a request to memcached'],
  ['redis', 'a script in Redis'],
  ['bullmq', 'BullMQ delivers or ends a job'],
  ['broken', 'a promise is broken'],
];

export function legend(): HTMLElement {
  const size = 4 * MARK;
  return element(
    'ul',
    { class: 'legend' },
    ...MEANINGS.map(([sort, meaning]) =>
      element(
        'li',
        {},
        shape(
          'svg',
          { width: size, height: size, 'aria-hidden': 'true' },
          shape('path', {
            class: sort,
            transform: `translate(${size / 2} ${size / 2})`,
            d: SHAPES[sort],
          }),
        ),
        meaning,
      ),
    ),
  );
}
