import { invalidField } from '../../shared/errors/mesh-error.ts';

/** Where a page of keys ended: keys are ordered by the time they were made, then by id. */
export interface Cursor {
  readonly createdAtMs: number;
  readonly keyId: string;
}

/** A cursor as the opaque text that callers get. */
export function formatCursor({ createdAtMs, keyId }: Cursor): string {
  return `${createdAtMs}-${keyId}`;
}

/**
 * The reverse of formatCursor.
 *
 * @throws MeshError INVALID_FIELD for anything else.
 */
export function parseCursor(text: string): Cursor {
  const match = /^(\d{1,15})-([0-9A-Za-z]{1,64})$/.exec(text);
  if (!match) throw invalidField('page_token', 'is not one that this service gave out');
  return { createdAtMs: Number(match[1]), keyId: match[2] ?? '' };
}

/** A page of names that ended with this one, as the opaque text that callers get. */
export function formatNameCursor(name: string): string {
  return Buffer.from(name).toString('base64url');
}

/**
 * The reverse of formatNameCursor.
 *
 * @throws MeshError INVALID_FIELD for anything else.
 */
export function parseNameCursor(text: string): string {
  const name = Buffer.from(text, 'base64url').toString();
  if (formatNameCursor(name) !== text) throw invalidField('page_token', 'is not one that this service gave out');
  return name;
}
