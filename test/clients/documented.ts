import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A block of code on a page. */
export interface DocumentedBlock {
  /** The heading above it; empty before the first. */
  readonly section: string;
  readonly language: string;
  /** The name of the file that it is, where its first line says so. */
  readonly file: string | undefined;
  readonly text: string;
}

/** The blocks of docs/clients.md, in order. */
export function documentedBlocks(page: string): DocumentedBlock[] {
  return page.split(/^## /m).flatMap((part, index) => {
    const section = index === 0 ? '' : (part.split('\n', 1)[0] ?? '');
    return [...part.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, language = '', file, text = '']) => ({
      ...{ section, language, file, text },
    }));
  });
}

/** The text of the page. */
export function clientsPage(): string {
  return readFileSync(join(import.meta.dirname, '../../docs/clients.md'), 'utf8');
}

/** The rows of the table under a heading, without its head: cells by the names of the columns, by the first cell of the row. */
export function documentedTable(page: string, section: string): Map<string, Record<string, string>> {
  const part = page.split(/^## /m).find((each) => each.startsWith(`${section}\n`)) ?? '';
  const lines = part.split('\n').filter((line) => line.startsWith('|'));
  const [head = [], , ...rows] = lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return new Map(
    rows.map(([name = '', ...cells]) => [
      name,
      Object.fromEntries(cells.map((cell, at): [string, string] => [head[at + 1] ?? '', cell])),
    ]),
  );
}
