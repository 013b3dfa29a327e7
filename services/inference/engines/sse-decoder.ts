const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const DATA_FIELD = 'data:';

/** The stream holds one event larger than the limit. */
export class FrameTooLargeError extends Error {
  override readonly name = 'FrameTooLargeError';
}

/**
 * Turns the bytes of an SSE stream into the data of its events. Only whole lines are decoded, so a character whose bytes
 * arrive in two chunks stays whole. Lines end with LF or CRLF; comments and fields other than `data` are skipped.
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

  /** Whether the next byte begins an event. */
  get isBetweenEvents(): boolean {
    return this.#partialBytes === 0 && this.#data === undefined;
  }

  /**
   * Takes the next bytes and hands out the events that they complete.
   *
   * @throws FrameTooLargeError; whatever `onData` throws.
   */
  push(chunk: Buffer): void {
    const { length } = chunk;
    // A chunk mostly is one event.
    const end = chunk[length - 1] === LINE_FEED ? length : chunk.lastIndexOf(LINE_FEED) + 1;
    // All lines at once: each call into the decoder costs as much as the bytes of a token.
    if (end > 0) this.#lines(this.#whole(end === length ? chunk : chunk.subarray(0, end)).toString());
    if (end < length) this.#keep(chunk.subarray(end));
  }

  #whole(rest: Buffer): Buffer {
    if (this.#partialBytes === 0) return rest;
    const whole = Buffer.concat([...this.#partial, rest]);
    this.#partial = [];
    this.#partialBytes = 0;
    return whole;
  }

  #lines(text: string): void {
    for (let start = 0; start < text.length; ) {
      const lineEnd = text.indexOf('\n', start);
      const end = text.charCodeAt(lineEnd - 1) === CARRIAGE_RETURN && lineEnd > start ? lineEnd - 1 : lineEnd;
      if (end === start) this.#event();
      else if (text.startsWith(DATA_FIELD, start)) this.#field(text, start + DATA_FIELD.length, end);
      start = lineEnd + 1;
    }
  }

  #event(): void {
    const data = this.#data;
    this.#data = undefined;
    if (data !== undefined) this.#onData(data);
  }

  #field(text: string, start: number, end: number): void {
    const value = text.slice(text.charCodeAt(start) === SPACE ? start + 1 : start, end);
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
