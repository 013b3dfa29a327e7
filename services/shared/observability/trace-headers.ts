import type { HeaderLookup } from '../interceptors/credential.ts';

/**
 * The trace that a call belongs to, as the headers that W3C Trace Context and Baggage define, by their names in small letters. Handed
 * on as they are by a process that records nothing; a process that records puts its own span in them.
 */
export type TraceHeaders = Readonly<Record<string, string>>;

/** `traceparent` comes first: without it the others mean nothing. */
export const W3C_HEADERS: readonly string[] = ['traceparent', 'tracestate', 'baggage'];

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

/** What is handed on of one header, in characters; as long as W3C lets baggage be. */
const LONGEST_HEADER = 8_192;

/** The trace of a call by its headers. Undefined: it belongs to none. Values that no header could have are left out. */
export function traceHeadersOf(
  headers: HeaderLookup,
  names: readonly string[] = W3C_HEADERS,
): TraceHeaders | undefined {
  const [first = ''] = names;
  // Nearly all calls from outside have none.
  if (!headers.get(first)) return undefined;
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = headers.get(name);
    if (value && value.length <= LONGEST_HEADER) found[name] = value;
  }
  return found;
}

/** The id of the trace, 32 hexadecimal digits; undefined: it belongs to none. For log lines. */
export function traceIdOf(headers: TraceHeaders | undefined): string | undefined {
  const traceparent = headers?.traceparent;
  return traceparent === undefined ? undefined : TRACEPARENT.exec(traceparent)?.[1];
}
