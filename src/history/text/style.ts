/** How a report looks where it is shown. */

export type Colours = Readonly<
  Record<'red' | 'green' | 'yellow' | 'bold', (text: string) => string>
>;

export interface ReportStyle {
  /** Makes a table of what was counted; undefined: that is left out. */
  readonly sheet?: (rows: readonly (readonly [string, string | number])[]) => string;
  readonly colours: Colours;
}

const asItIs = (text: string): string => text;
export const PLAIN: ReportStyle = {
  colours: { red: asItIs, green: asItIs, yellow: asItIs, bold: asItIs },
};
