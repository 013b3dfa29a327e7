/** Decides whether an answer is right. Nothing here knows the model. */
import { parse } from 'libpg-query';
import type { ChatPrompt, SqlPrompt } from './prompts.ts';

/** What is wrong with an answer; undefined: nothing. */
export type Verdict = string | undefined;

/** The key fact: whole words or phrases in any letter case. */
export function judgeChat(
  answer: string,
  { anyOf, lines, minWords }: Omit<ChatPrompt, 'id' | 'topic' | 'messages'>,
): Verdict {
  if (anyOf !== undefined && !anyOf.some((phrases) => phrases.every((phrase) => contains(answer, phrase)))) {
    return `none of ${anyOf.map((phrases) => phrases.join(' + ')).join(' | ')}`;
  }
  if (lines !== undefined && answer.trim().split('\n').length !== lines) return `not ${lines} lines`;
  if (minWords !== undefined && answer.trim().split(/\s+/).length < minWords) return `fewer than ${minWords} words`;
  return undefined;
}

function contains(answer: string, phrase: string): boolean {
  const literal = RegExp.escape(phrase);
  // 12 is neither in 12.5 nor in 3.12, 1,12, 12/5 or -12.
  const [before, after] = /^\d/.test(phrase) ? ['(?<![\\w.,/-])', '(?!\\w|[.,/]\\d)'] : ['(?<!\\w)', '(?!\\w)'];
  return new RegExp(`${before}${literal}${after}`, 'i').test(answer);
}

/** One statement that PostgreSQL's own parser takes and that reads exactly the tables of the prompt. */
export async function judgeSql(answer: string, { tables }: Pick<SqlPrompt, 'tables'>): Promise<Verdict> {
  let tree: unknown;
  try {
    tree = await parse(answer);
  } catch (error) {
    return `does not parse: ${error instanceof Error ? error.message : String(error)}`;
  }
  const statements = (tree as { stmts?: unknown[] }).stmts ?? [];
  if (statements.length !== 1) return `${statements.length} statements`;
  const select = (statements[0] as { stmt?: { SelectStmt?: { targetList?: unknown[] } } }).stmt?.SelectStmt;
  if (select === undefined) return 'no SELECT';
  if (select.targetList === undefined) return 'selects nothing';
  const read = new Set<string>();
  const named = new Set<string>();
  collectTables(tree, read, named);
  for (const name of named) read.delete(name);
  const same = read.size === tables.length && tables.every((table) => read.has(table));
  return same ? undefined : `reads ${[...read].join(', ') || 'no table'} instead of ${tables.join(', ')}`;
}

/** `RangeVar` is how PostgreSQL's tree names a table, wherever it stands; `ctename` is what WITH calls a query. */
function collectTables(node: unknown, tables: Set<string>, named: Set<string>): void {
  if (typeof node !== 'object' || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    if (key === 'ctename') named.add(value);
    if (key === 'RangeVar') tables.add((value as { relname: string }).relname);
    else collectTables(value, tables, named);
  }
}
