/** The result as a chart: one panel per kind of work, one bar per system, coloured by who was right. */
import { scaleBand, scaleLinear } from 'd3-scale';
import { describe } from './compare.ts';
import { type Row, standingOf } from './row.ts';

const PANEL = { width: 350, gap: 28, titleHeight: 34, barHeight: 18, axisHeight: 26 };
const COLUMNS = 4;
const LABEL_WIDTH = 136;
/** Room for the ratio behind the longest bar. */
const VALUE_WIDTH = 62;
const TICKS = 3;
/** 12.5K */
const shortNumber = new Intl.NumberFormat('en', { notation: 'compact' });
const MARGIN = 24;
const LEGEND_HEIGHT = 40;
const COLOURS = { right: '#2a7f62', wrong: '#c8553d', 'no value': '#8d99ae' } as const;
const MEANINGS = {
  right: 'nothing lost, doubled or reordered',
  wrong: 'lost, doubled or reordered something, or did not finish',
  'no value': 'changes no value (the ceiling)',
} as const;

/** Those whose jobs per second are a result, and not what they were given. */
const CHARTED: ReadonlySet<string> = new Set(['gate', 'strict', 'enqueue', 'matrix', 'document']);

/** Rows of other parts are left out. */
export function chartOf(rows: readonly Row[]): string {
  const panels = panelsOf(rows);
  const columns = Math.min(COLUMNS, Math.max(1, panels.length));
  const lines: (readonly [string, readonly Row[]])[][] = [];
  for (let first = 0; first < panels.length; first += columns) {
    lines.push(panels.slice(first, first + columns));
  }
  const width = 2 * MARGIN + columns * (PANEL.width + PANEL.gap) - PANEL.gap;
  const parts: string[] = [];
  let top = MARGIN + LEGEND_HEIGHT;
  for (const line of lines) {
    line.forEach(([title, own], column) => {
      const left = MARGIN + column * (PANEL.width + PANEL.gap);
      parts.push(`<g transform="translate(${left},${top})">${panelOf(title, own)}</g>`);
    });
    top += Math.max(...line.map(([, own]) => heightOf(own))) + PANEL.gap;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${top}" fill="#ffffff"/>`,
    legend(),
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function panelsOf(rows: readonly Row[]): (readonly [string, readonly Row[]])[] {
  const panels = new Map<string, Row[]>();
  for (const row of rows) {
    if (row.jobsPerSecond === null || !CHARTED.has(row.family)) continue;
    const title = describe(row);
    const own = panels.get(title) ?? [];
    own.push(row);
    panels.set(title, own);
  }
  return [...panels];
}

function heightOf(rows: readonly Row[]): number {
  return PANEL.titleHeight + rows.length * PANEL.barHeight + PANEL.axisHeight;
}

function panelOf(title: string, rows: readonly Row[]): string {
  const names = rows.map((_row, index) => String(index));
  const bottom = PANEL.titleHeight + rows.length * PANEL.barHeight;
  const y = scaleBand(names, [PANEL.titleHeight, bottom]).paddingInner(0.25).paddingOuter(0.1);
  const fastest = Math.max(...rows.map((row) => row.jobsPerSecondSpread?.max ?? 0));
  const x = scaleLinear([0, fastest], [LABEL_WIDTH, PANEL.width - VALUE_WIDTH]).nice(TICKS);
  const ticks = x.ticks(TICKS).map((tick) => {
    const at = x(tick).toFixed(1);
    return `<line x1="${at}" x2="${at}" y1="${PANEL.titleHeight}" y2="${bottom}" stroke="#e3e6ea"/><text x="${at}" y="${bottom + 14}" text-anchor="middle" fill="#5c6470">${shortNumber.format(tick)}</text>`;
  });
  const bars = rows.map((row, index) => barOf(row, y(String(index)) ?? 0, y.bandwidth(), x));
  return [
    `<text y="14" font-weight="bold">${escaped(title)}</text>`,
    `<text y="27" fill="#5c6470">jobs per second, and ratio to the no-op</text>`,
    ...ticks,
    ...bars,
  ].join('');
}

function barOf(row: Row, top: number, height: number, x: (value: number) => number): string {
  const rate = row.jobsPerSecond ?? 0;
  const { min, max } = row.jobsPerSecondSpread ?? { min: rate, max: rate };
  const middle = top + height / 2;
  const end = x(rate);
  const ratio = row.ratio === null ? '' : row.ratio.toFixed(2);
  return [
    `<text x="${LABEL_WIDTH - 6}" y="${(middle + 4).toFixed(1)}" text-anchor="end">${escaped(row.title)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${top.toFixed(1)}" width="${(end - LABEL_WIDTH).toFixed(1)}" height="${height.toFixed(1)}" fill="${COLOURS[standingOf(row)]}"/>`,
    `<line x1="${x(min).toFixed(1)}" x2="${x(max).toFixed(1)}" y1="${middle.toFixed(1)}" y2="${middle.toFixed(1)}" stroke="#20242a"/>`,
    `<text x="${(x(max) + 5).toFixed(1)}" y="${(middle + 4).toFixed(1)}" fill="#20242a">${ratio}</text>`,
  ].join('');
}

function legend(): string {
  let left = MARGIN;
  const entries = (Object.keys(COLOURS) as (keyof typeof COLOURS)[]).map((standing) => {
    const text = MEANINGS[standing];
    const entry = `<rect x="${left}" y="${MARGIN}" width="12" height="12" fill="${COLOURS[standing]}"/><text x="${left + 18}" y="${MARGIN + 10}">${text}</text>`;
    left += 40 + text.length * 6;
    return entry;
  });
  return entries.join('');
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
