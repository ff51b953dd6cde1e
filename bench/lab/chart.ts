/** A panel for each crowd: what share of the updates each scheme has lost or doubled, calm and at worst. */
import { scaleBand, scaleLinear } from 'd3-scale';
import { escaped } from '../chart.ts';
import { whole } from '../number-text.ts';
import { SITUATIONS } from './faults.ts';
import { percentText, sharesOf } from './report.ts';
import { SCHEME_NAMES, schemeOf } from './schemes/schemes.ts';
import type { Trial } from './trial.ts';

const MARGIN = 24;
const LABEL_WIDTH = 250;
const PANEL_WIDTH = 210;
const PANEL_GAP = 60;
const ROW_HEIGHT = 34;
const HEAD_HEIGHT = 62;
const FOOT_HEIGHT = 30;
const TICKS = [0, 25, 50, 75, 100];
const COLOURS = { calm: '#e0a458', faults: '#c8553d', right: '#2a7f62' } as const;

export function labChartOf(trials: readonly Trial[]): string {
  const crowds = [...new Set(trials.map(({ clients }) => clients))].toSorted((a, b) => a - b);
  const schemes = SCHEME_NAMES.filter((name) => trials.some(({ scheme }) => scheme === name));
  const bottom = HEAD_HEIGHT + schemes.length * ROW_HEIGHT;
  const rows = scaleBand(schemes, [HEAD_HEIGHT, bottom]).paddingInner(0.25).paddingOuter(0.15);
  const leftOf = (panel: number): number =>
    MARGIN + LABEL_WIDTH + panel * (PANEL_WIDTH + PANEL_GAP);
  const width = leftOf(crowds.length) + MARGIN;
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
  if (trials.length === 0) return '';
  const calm = damageOf(trials.filter(({ situation }) => situation === 'calm'));
  const worst = Math.max(
    0,
    ...SITUATIONS.filter((situation) => situation !== 'calm').map((situation) =>
      damageOf(trials.filter((trial) => trial.situation === situation)),
    ),
  );
  const half = height / 2;
  const bar = (percent: number, y: number, colour: string): string =>
    `<rect x="0" y="${y.toFixed(1)}" width="${Math.max(1.5, x(Math.min(100, percent))).toFixed(1)}" height="${(half - 1).toFixed(1)}" fill="${percent === 0 ? COLOURS.right : colour}"/>` +
    `<text x="${(x(Math.min(100, percent)) + 5).toFixed(1)}" y="${(y + half - 2).toFixed(1)}">${percentText(percent).replace('>', '&gt;')}</text>`;
  return bar(calm, top, COLOURS.calm) + bar(worst, top + half, COLOURS.faults);
}

function damageOf(trials: readonly Trial[]): number {
  const { lost, doubled } = sharesOf(trials);
  return lost + doubled;
}

function legendOf(): string {
  const entries: (readonly [colour: string, text: string])[] = [
    [COLOURS.calm, 'calm'],
    [COLOURS.faults, 'with a pause, crash or eviction, whichever is worst'],
    [COLOURS.right, 'none'],
  ];
  let left = MARGIN + LABEL_WIDTH;
  return entries
    .map(([colour, text]) => {
      const entry = `<rect x="${left}" y="10" width="12" height="12" fill="${colour}"/><text x="${left + 18}" y="20">${text}</text>`;
      left += 40 + text.length * 6;
      return entry;
    })
    .join('');
}
