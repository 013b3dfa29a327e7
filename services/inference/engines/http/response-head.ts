/** The peer broke the rules of HTTP/1.1. Its message holds nothing of what came. */
export class MalformedResponseError extends Error {
  override readonly name = 'MalformedResponseError';
}

/** How the body of a response ends: after that many bytes, by its last chunk, or with the connection. */
export type BodyFraming = number | 'chunked' | 'until-close';

/** Everything before a response's body. */
export interface ResponseHead {
  /** Three digits. */
  readonly status: number;
  /** By name in lower case; several of one name are joined with ", ". */
  readonly headers: ReadonlyMap<string, string>;
  readonly framing: BodyFraming;
  /** Whether another request may follow on the connection. */
  readonly keepsAlive: boolean;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/** A name is a token; around the value there may be blanks. RFC 9112 forbids folded lines and blanks before the colon. */
const HEADER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*$/;

/** The largest body that has a length, far beyond any: what is larger cannot be counted exactly. */
const LENGTH = /^\d{1,15}$/;

/**
 * Reads a head without the empty line at its end, as latin1.
 *
 * @throws MalformedResponseError for what is no HTTP/1.x, and where the end of the body is not beyond doubt.
 */
export function parseResponseHead(text: string): ResponseHead {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const [, minor, digits] = STATUS_LINE.exec(statusLine) ?? [];
  if (digits === undefined) throw new MalformedResponseError('no status line');
  const status = Number(digits);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value = ''] = HEADER_LINE.exec(line) ?? [];
    if (name === undefined) throw new MalformedResponseError('no header line');
    const key = name.toLowerCase();
    const known = headers.get(key);
    headers.set(key, known === undefined ? value : `${known}, ${value}`);
  }
  const framing = framingOf(status, minor === '1', headers);
  return { status, headers, framing, keepsAlive: framing !== 'until-close' && keepsAlive(minor === '1', headers) };
}

/** As RFC 9112 section 6.3 rules for an answer to POST; what leaves a doubt is refused, for the next answer would begin elsewhere. */
function framingOf(status: number, isNew: boolean, headers: ReadonlyMap<string, string>): BodyFraming {
  if (status < 200 || status === 204 || status === 304) return 0;
  const coding = headers.get('transfer-encoding');
  const length = headers.get('content-length');
  if (coding !== undefined) {
    if (length !== undefined) throw new MalformedResponseError('both a length and a transfer encoding');
    if (!isNew || coding.toLowerCase() !== 'chunked') throw new MalformedResponseError('unknown transfer encoding');
    return 'chunked';
  }
  if (length === undefined) return 'until-close';
  const [first = '', ...others] = length.split(',').map((one) => one.trim());
  if (!LENGTH.test(first) || others.some((other) => other !== first)) throw new MalformedResponseError('no length');
  return Number(first);
}

function keepsAlive(isNew: boolean, headers: ReadonlyMap<string, string>): boolean {
  const connection = headers.get('connection')?.toLowerCase();
  if (connection === undefined) return isNew;
  const options = connection.split(',').map((one) => one.trim());
  return isNew ? !options.includes('close') : options.includes('keep-alive');
}
