import { isUtf8 } from 'node:buffer';
import { HttpError } from './http-error.ts';

/** Deepest nesting of arrays and objects in a body. */
export const MAX_NESTING = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Parses a JSON body. Its nesting is measured before, so that a hostile one costs no stack, and `__proto__` members are
 * dropped. Runs without recursion over the input.
 *
 * @throws HttpError 400.
 */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) throw new HttpError(400, 'invalid_json', 'The request body is empty. Send a JSON object.');
  if (!isUtf8(bytes)) throw new HttpError(400, 'invalid_json', 'The request body is not valid UTF-8.');
  if (exceedsNesting(bytes, MAX_NESTING)) {
    throw new HttpError(400, 'invalid_json', `The request body is nested deeper than ${MAX_NESTING} levels.`);
  }
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const position = /at position \d+/.exec(error instanceof Error ? error.message : '')?.[0];
    throw new HttpError(400, 'invalid_json', `The request body is not valid JSON${position ? ` ${position}` : ''}.`);
  }
  // An escaped spelling ("\u005f_proto__") is as effective as the plain one.
  if (text.includes('_proto__') || text.includes('\\u005')) dropProtoMembers(value);
  return value;
}

/** Whether brackets outside strings nest deeper than `limit`. Works on bytes: ASCII never occurs inside a longer character. */
export function exceedsNesting(bytes: Uint8Array, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index];
    if (inString) {
      if (byte === BACKSLASH) index += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > limit) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
  return false;
}

function dropProtoMembers(root: unknown): void {
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (Object.hasOwn(value, '__proto__')) Reflect.deleteProperty(value, '__proto__');
    for (const member of Object.values(value)) open.push(member);
  }
}
