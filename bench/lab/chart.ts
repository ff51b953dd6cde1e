/** A panel for each crowd: what share of the updates each scheme has lost or doubled, by what went wrong. */
import { scaleBand, scaleLinear } from 'd3-scale';
import { escaped } from '../chart.ts';
import { whole } from '../number-text.ts';
import type { Situation } from './faults.ts';
import { percentText, sharesOf } from './report.ts';
import { SCHEME_NAMES, schemeOf } from './schemes/schemes.ts';
import type { Trial } from './trial.ts';

const MARGIN = 24;
const LABEL_WIDTH = 250;
const PANEL_WIDTH = 210;
const PANEL_GAP = 60;
const ROW_HEIGHT = 46;
/** Room for the legend. */
const WIDTH_MIN = 860;
const HEAD_HEIGHT = 62;
const FOOT_HEIGHT = 30;
const TICKS = [0, 25, 50, 75, 100];
const RIGHT = '#2a7f62';
/** The worst of its situations each. */
const BARS: readonly { situations: readonly Situation[]; text: string; colour: string }[] = [
  { situations: ['calm'], text: 'calm', colour: '#e0a458' },
  { situations: ['pause', 'crash'], text: 'a pause or crashes of holders', colour: '#c8553d' },
  {
    situations: ['lock evicted', 'value evicted'],
    text: 'evictions of the lock or the value',
    colour: '#7a3b69',
  },
];

export function labChartOf(trials: readonly Trial[]): string {
  const crowds = [...new Set(trials.map(({ clients }) => clients))].toSorted((a, b) => a - b);
  const schemes = SCHEME_NAMES.filter((name) => trials.some(({ scheme }) => scheme === name));
  const bottom = HEAD_HEIGHT + schemes.length * ROW_HEIGHT;
  const rows = scaleBand(schemes, [HEAD_HEIGHT, bottom]).paddingInner(0.25).paddingOuter(0.15);
  const leftOf = (panel: number): number =>
    MARGIN + LABEL_WIDTH + panel * (PANEL_WIDTH + PANEL_GAP);
  const width = Math.max(WIDTH_MIN, leftOf(crowds.length) + MARGIN);
  const height = bottom + FOOT_HEIGHT;
  const labels = schemes.map((name) => {
    const { letter, title } = schemeOf(name);
    const y = (rows(name) ?? 0) + rows.bandwidth() / 2 + 4;
    return `<text x="${MARGIN + LABEL_WIDTH - 10}" y="${y.toFixed(1)}" text-anchor="end">${escaped(`(${letter}) ${title}`)}</text>`;
  });
  const panels = crowds.map((clients, at) => {
    const own = trials.filter((trial) => trial.clients === clients);
    const bars = schemes.map((name) =>
      barsOf(
        own.filter(({ scheme }) => scheme === name),
        rows(name) ?? 0,
        rows.bandwidth(),
      ),
    );
    return `<g transform="translate(${leftOf(at)},0)">${frameOf(clients, bottom)}${bars.join('')}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="${MARGIN}" y="20" font-weight="bold">Updates lost or doubled, in per cent</text>`,
    legendOf(),
    ...labels,
    ...panels,
    '</svg>\n',
  ].join('\n');
}

const x = scaleLinear([0, 100], [0, PANEL_WIDTH]);

function frameOf(clients: number, bottom: number): string {
  const ticks = TICKS.map(
    (tick) =>
      `<line x1="${x(tick)}" x2="${x(tick)}" y1="${HEAD_HEIGHT}" y2="${bottom}" stroke="#e3e6ea"/>` +
      `<text x="${x(tick)}" y="${bottom + 14}" text-anchor="middle" fill="#5c6470">${tick}</text>`,
  );
  return `<text y="${HEAD_HEIGHT - 6}" font-weight="bold">${whole(clients)} clients</text>${ticks.join('')}`;
}

function barsOf(trials: readonly Trial[], top: number, height: number): string {
  const thickness = height / BARS.length;
  return BARS.map(({ situations, colour }, at) => {
    const own = situations.map((situation) =>
      trials.filter((trial) => trial.situation === situation),
    );
    if (own.flat().length === 0) return '';
    const percent = Math.max(...own.map(damageOf));
    const y = top + at * thickness;
    const end = x(Math.min(100, percent));
    return (
      `<rect x="0" y="${y.toFixed(1)}" width="${Math.max(1.5, end).toFixed(1)}" height="${(thickness - 1).toFixed(1)}" fill="${percent === 0 ? RIGHT : colour}"/>` +
      `<text x="${(end + 5).toFixed(1)}" y="${(y + thickness - 2).toFixed(1)}">${escaped(percentText(percent))}</text>`
    );
  }).join('');
}

function damageOf(trials: readonly Trial[]): number {
  const { lost, doubled } = sharesOf(trials);
  return lost + doubled;
}

function legendOf(): string {
  const entries = [...BARS, { colour: RIGHT, text: 'none' }];
  let left = MARGIN + LABEL_WIDTH;
  return entries
    .map(({ colour, text }) => {
      const entry = `<rect x="${left}" y="10" width="12" height="12" fill="${colour}"/><text x="${left + 18}" y="20">${text}</text>`;
      left += 40 + text.length * 6;
      return entry;
    })
    .join('');
}
