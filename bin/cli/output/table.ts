import cliTruncate from 'cli-truncate';
import stringWidth from 'string-width';
import { printable } from '../../../services/shared/observability/printable.ts';
import type { Output, Style } from './terminal.ts';

/** A column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => string;
  /** Figures stand to the right. */
  readonly isFigure?: boolean;
  /** Cut in a narrow window, the widest first. Ids are not: they are there to be copied. */
  readonly mayShrink?: boolean;
  readonly style?: (row: Row) => Style | undefined;
}

const GAP = '  ';
/** A column that shrinks keeps so much. */
const LEAST_WIDTH = 6;

/** The lines of a table without borders, its titles first. In a terminal no line is wider than the window. */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[], output: Output): string[] {
  const cells = rows.map((row) => columns.map((column) => clean(column.of(row))));
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, i) => Math.max(...[titles, ...cells].map((line) => stringWidth(line[i] ?? ''))));
  shrink(widths, columns, output.width);
  const write = (line: readonly string[], styleOf: (i: number) => Style | undefined): string => {
    const parts = line.map((text, i) => {
      const padded = pad(text, widths[i] ?? 0, columns[i]?.isFigure === true, i === columns.length - 1);
      const style = styleOf(i);
      return style ? output.style(style, padded) : padded;
    });
    const whole = parts.join(GAP).trimEnd();
    return output.width === undefined ? whole : cliTruncate(whole, output.width);
  };
  return [
    write(titles, () => 'dim'),
    ...cells.map((line, at) => write(line, (i) => columns[i]?.style?.(rows[at] as Row))),
  ];
}

/** Text of strangers in one line. */
export function clean(text: string): string {
  return printable(text).replace(/\s+/g, ' ');
}

function pad(text: string, width: number, isFigure: boolean, isLast: boolean): string {
  const cut = stringWidth(text) > width ? cliTruncate(text, width) : text;
  const space = ' '.repeat(Math.max(0, width - stringWidth(cut)));
  if (isFigure) return space + cut;
  return isLast ? cut : cut + space;
}

function shrink<Row>(widths: number[], columns: readonly Column<Row>[], limit: number | undefined): void {
  if (limit === undefined) return;
  const gaps = GAP.length * (widths.length - 1);
  for (;;) {
    const over = widths.reduce((sum, width) => sum + width, gaps) - limit;
    const [widest] = columns
      .map((column, i) => ({ i, width: column.mayShrink ? (widths[i] ?? 0) : 0 }))
      .filter(({ width }) => width > LEAST_WIDTH)
      .sort((one, other) => other.width - one.width);
    if (over <= 0 || !widest) return;
    widths[widest.i] = widest.width - 1;
  }
}
