import type { UsageEntry } from './store/quota-store.ts';

/** Columns of the ledger by which it can be summed. */
const USAGE_COLUMNS = ['keyId', 'userId', 'organizationId', 'model', 'day'] as const;

export type UsageColumn = (typeof USAGE_COLUMNS)[number];

/** A sum of ledger entries that agree in the columns of the grouping; the others are unset. */
export interface UsageSum extends Partial<Pick<UsageEntry, UsageColumn>> {
  requests: number;
  promptTokens: number;
  completionTokens: number;
}

const DAY_MS = 86_400_000;

/** The days that a range of time touches, from `startMs` up to but without `endMs`; days since 1970-01-01. */
export function daysOf(startMs: number, endMs: number): { readonly first: number; readonly last: number } {
  return { first: Math.floor(startMs / DAY_MS), last: Math.floor((endMs - 1) / DAY_MS) };
}

/** A day as YYYY-MM-DD. */
export function formatDay(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

/** Sums entries by columns; without columns there is one sum, also of nothing. */
export async function sumUsage(
  entries: AsyncIterable<UsageEntry>,
  columns: readonly UsageColumn[],
): Promise<UsageSum[]> {
  const sums = new Map<string, UsageSum>();
  if (columns.length === 0) sums.set('[]', { requests: 0, promptTokens: 0, completionTokens: 0 });
  for await (const entry of entries) {
    const group = Object.fromEntries(columns.map((column) => [column, entry[column]]));
    const key = JSON.stringify(columns.map((column) => entry[column]));
    const sum = sums.get(key) ?? { ...group, requests: 0, promptTokens: 0, completionTokens: 0 };
    sums.set(key, sum);
    sum.requests += entry.requests;
    sum.promptTokens += entry.promptTokens;
    sum.completionTokens += entry.completionTokens;
  }
  return [...sums.values()];
}
