const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const DATA_FIELD = Buffer.from('data:');

/** The stream holds one event larger than the limit. */
export class FrameTooLargeError extends Error {
  override readonly name = 'FrameTooLargeError';
}

/**
 * Turns the bytes of an SSE stream into the data of its events. Lines are cut on bytes and decoded whole, so a character
 * whose bytes arrive in two chunks stays whole. Lines end with LF or CRLF; comments and fields other than `data` are
 * skipped.
 */
export class SseDecoder {
  readonly #onData: (data: string) => void;
  readonly #limitBytes: number;
  /** The start of a line whose end has not arrived. */
  #partial: Buffer[] = [];
  #partialBytes = 0;
  /** The data lines of the event that is not over. */
  #data: string | undefined;

  constructor(onData: (data: string) => void, limitBytes: number) {
    this.#onData = onData;
    this.#limitBytes = limitBytes;
  }

  /**
   * Takes the next bytes and hands out the events that they complete.
   *
   * @throws FrameTooLargeError; whatever `onData` throws.
   */
  push(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end === -1) break;
      if (this.#partialBytes === 0) this.#line(chunk, start, end);
      else this.#joinedLine(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  #joinedLine(rest: Buffer): void {
    const line = Buffer.concat([...this.#partial, rest]);
    this.#partial = [];
    this.#partialBytes = 0;
    this.#line(line, 0, line.length);
  }

  #line(bytes: Buffer, start: number, lineEnd: number): void {
    const end = lineEnd > start && bytes[lineEnd - 1] === CARRIAGE_RETURN ? lineEnd - 1 : lineEnd;
    if (end === start) {
      const data = this.#data;
      this.#data = undefined;
      if (data !== undefined) this.#onData(data);
      return;
    }
    if (!isDataLine(bytes, start, end)) return;
    const valueAt = start + DATA_FIELD.length;
    const value = bytes.toString('utf8', bytes[valueAt] === SPACE ? valueAt + 1 : valueAt, end);
    this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    if (this.#data.length > this.#limitBytes) throw new FrameTooLargeError('SSE event too large');
  }

  /** A copy, so that a few bytes do not hold the whole block that the socket read. */
  #keep(rest: Buffer): void {
    this.#partialBytes += rest.length;
    if (this.#partialBytes > this.#limitBytes) throw new FrameTooLargeError('SSE line too large');
    this.#partial.push(Buffer.from(rest));
  }
}

function isDataLine(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < DATA_FIELD.length) return false;
  for (let index = 0; index < DATA_FIELD.length; index++) {
    if (bytes[start + index] !== DATA_FIELD[index]) return false;
  }
  return true;
}
