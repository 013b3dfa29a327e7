import type { Holder, UsageEntry } from './quota-store.ts';

/** The beginning of a ledger row, which a lease keeps: JSON, the organisation first because the ledger is read by it. */
export function rowBeginning({ organizationId, userId, keyId }: Holder, model: string): string {
  return `${JSON.stringify([organizationId, userId, keyId, model]).slice(0, -1)},`;
}

/** A row: its beginning and the engine. The scripts put the two together in the same way. */
export function ledgerRow(holder: Holder, model: string, engine: string): string {
  return `${rowBeginning(holder, model)}${JSON.stringify(engine)}]`;
}

/** The holder and the model of the beginning of a row. */
export function holderOf(beginning: string): Holder & { readonly model: string } {
  const [organizationId = '', userId = '', keyId = '', model = ''] = JSON.parse(`${beginning}""]`) as string[];
  return { organizationId, userId, keyId, model };
}

/** A row and its figures as they are kept. */
export function entryOf(day: number, row: string, figures: string): UsageEntry {
  const [organizationId = '', userId = '', keyId = '', model = '', engine = ''] = JSON.parse(row) as string[];
  const [requests = 0, promptTokens = 0, completionTokens = 0] = figures.split(' ').map(Number);
  return { day, organizationId, userId, keyId, model, engine, requests, promptTokens, completionTokens };
}

/** Between which texts the rows of an organisation lie, or all; as ZRANGEBYLEX takes it. */
export function rowRange(organizationId: string | undefined): { readonly from: string; readonly to: string } {
  if (organizationId === undefined) return { from: '-', to: '+' };
  const beginning = `${JSON.stringify([organizationId]).slice(0, -1)},`;
  // The next character is a quotation mark; the one after it is '#'.
  return { from: `[${beginning}`, to: `(${beginning}#` };
}
