import { MalformedResponseError, parseResponseHead, type ResponseHead } from './response-head.ts';

/** What a parser finds. The callbacks run while it works: they must not push to it. */
export interface ResponseEvents {
  /** Once, unless the response is malformed or breaks off. */
  onHead(head: ResponseHead): void;
  /** A part of the body, framing removed. It lies in memory that is used again: copy what is kept. */
  onBody(bytes: Buffer): void;
  /** The body is complete. */
  onComplete(): void;
}

/** The longest head, as that of Node's own parser. */
const HEAD_LIMIT_BYTES = 16 * 1024;

/** The longest line with the size of a chunk, and all lines behind the last one. */
const LINE_LIMIT_BYTES = 4 * 1024;

/** The most hexadecimal digits in the size of a chunk, 64 GiB. */
const MOST_SIZE_DIGITS = 9;

const CR = 13;
const LF = 10;
const SEMICOLON = 59;
const SPACE = 32;
const TAB = 9;

type State = 'head' | 'fixed' | 'until-close' | 'size' | 'data' | 'data-end' | 'trailers' | 'complete';

/**
 * The bytes of one connection → its responses, one after the other; `next` begins each. Exact: every length is checked, lines
 * end with CRLF, and what is left in doubt is an error, because a doubt about one response's end is a doubt about whose the
 * next bytes are. Interim responses (1xx) are skipped.
 */
export class ResponseParser {
  readonly #events: ResponseEvents;
  #state: State = 'complete';
  /** The start of a head that has not ended. */
  #held: Buffer | undefined;
  /** Bytes of the body, or of the chunk, that are still to come. */
  #left = 0;
  #sizeDigits = 0;
  /** Whether the line with the size is beyond the size itself. */
  #isExtension = false;
  #lineBytes = 0;
  #lastByte = 0;
  /** Bytes of the line in the trailers, without its end. */
  #trailerBytes = 0;

  constructor(events: ResponseEvents) {
    this.#events = events;
  }

  /** Whether no response is under way. */
  get isIdle(): boolean {
    return this.#state === 'complete';
  }

  /** A request was sent: its response is next. */
  next(): void {
    this.#state = 'head';
  }

  /**
   * Takes what was read.
   *
   * @throws MalformedResponseError, also for bytes that nobody asked for; whatever the events throw.
   */
  push(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at = this.#step(bytes, at);
  }

  /**
   * The peer has sent everything. Returns whether the response was complete; one without a length is then.
   */
  end(): boolean {
    if (this.#state === 'until-close') this.#complete();
    return this.#state === 'complete';
  }

  /** Returns where the rest begins. */
  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#head(bytes, at);
      case 'size':
        return this.#size(bytes, at);
      case 'data':
      case 'fixed':
        return this.#data(bytes, at);
      case 'data-end':
        return this.#dataEnd(bytes, at);
      case 'until-close':
        this.#events.onBody(at === 0 ? bytes : bytes.subarray(at));
        return bytes.length;
      case 'trailers':
        return this.#trailers(bytes, at);
      case 'complete':
        throw new MalformedResponseError('bytes beyond the end of the response');
    }
  }

  #head(bytes: Buffer, at: number): number {
    const heldBytes = this.#held?.length ?? 0;
    const whole = this.#held ? Buffer.concat([this.#held, bytes.subarray(at)]) : bytes;
    const start = this.#held ? 0 : at;
    const end = whole.indexOf('\r\n\r\n', start, 'latin1');
    const length = (end === -1 ? whole.length : end) - start;
    if (length > HEAD_LIMIT_BYTES) throw new MalformedResponseError('the head is too long');
    if (end === -1) {
      // A copy: the memory of the read is used again.
      this.#held = this.#held ? whole : Buffer.from(whole.subarray(start));
      return bytes.length;
    }
    this.#held = undefined;
    this.#begin(parseResponseHead(whole.toString('latin1', start, end)));
    return end + 4 - start - heldBytes + at;
  }

  #begin(head: ResponseHead): void {
    // We ask for none: what follows would be another protocol.
    if (head.status === 101) throw new MalformedResponseError('the protocol was switched');
    if (head.status < 200) return;
    const { framing } = head;
    this.#events.onHead(head);
    if (framing === 'chunked') this.#beginSize();
    else if (framing === 'until-close') this.#state = 'until-close';
    else if (framing === 0) this.#complete();
    else {
      this.#left = framing;
      this.#state = 'fixed';
    }
  }

  #beginSize(): void {
    this.#state = 'size';
    this.#left = 0;
    this.#sizeDigits = 0;
    this.#isExtension = false;
    this.#lineBytes = 0;
    this.#lastByte = 0;
  }

  /** The line before each chunk: hexadecimal digits, then extensions that nobody needs. */
  #size(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (this.#lastByte === CR) {
        if (byte !== LF || this.#sizeDigits === 0) throw new MalformedResponseError('no end of a chunk size');
        if (this.#left === 0) this.#beginTrailers();
        else this.#state = 'data';
        return at + 1;
      }
      this.#lastByte = byte;
      if (byte === CR) continue;
      if (++this.#lineBytes > LINE_LIMIT_BYTES) throw new MalformedResponseError('the chunk size is too long');
      if (this.#isExtension) {
        if (byte === LF) throw new MalformedResponseError('no end of a chunk extension');
        continue;
      }
      if (byte === SEMICOLON || byte === SPACE || byte === TAB) this.#isExtension = true;
      else this.#digit(byte);
    }
    return bytes.length;
  }

  #digit(byte: number): void {
    const lower = byte | 0x20;
    const value = byte >= 48 && byte <= 57 ? byte - 48 : lower >= 97 && lower <= 102 ? lower - 87 : -1;
    if (value === -1 || ++this.#sizeDigits > MOST_SIZE_DIGITS) throw new MalformedResponseError('no chunk size');
    this.#left = this.#left * 16 + value;
  }

  #data(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    const isOver = this.#left === 0;
    this.#events.onBody(bytes.subarray(at, end));
    if (isOver && this.#state === 'fixed') this.#complete();
    else if (isOver) {
      this.#state = 'data-end';
      this.#lastByte = 0;
    }
    return end;
  }

  #dataEnd(bytes: Buffer, at: number): number {
    const byte = bytes[at];
    if (this.#lastByte === CR && byte === LF) this.#beginSize();
    else if (this.#lastByte === 0 && byte === CR) this.#lastByte = CR;
    else throw new MalformedResponseError('no end of a chunk');
    return at + 1;
  }

  #beginTrailers(): void {
    this.#state = 'trailers';
    this.#lineBytes = 0;
    this.#trailerBytes = 0;
    this.#lastByte = 0;
  }

  /** Lines up to an empty one; nothing in them concerns us. */
  #trailers(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (++this.#lineBytes > LINE_LIMIT_BYTES) throw new MalformedResponseError('the trailers are too long');
      if (this.#lastByte === CR) {
        if (byte !== LF) throw new MalformedResponseError('no end of a trailer');
        this.#lastByte = 0;
        if (this.#trailerBytes === 0) {
          this.#complete();
          return at + 1;
        }
        this.#trailerBytes = 0;
        continue;
      }
      if (byte === LF) throw new MalformedResponseError('no end of a trailer');
      this.#lastByte = byte;
      if (byte !== CR) this.#trailerBytes++;
    }
    return bytes.length;
  }

  #complete(): void {
    this.#state = 'complete';
    this.#events.onComplete();
  }
}
