import { FrameTooLargeError } from './sse-decoder.ts';

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/**
 * Turns the bytes of a stream of JSON lines into lines. They are cut on bytes and decoded whole, so a character whose
 * bytes arrive in two chunks stays whole. Empty lines are skipped; a last line may lack its end.
 */
export class NdjsonDecoder {
  readonly #onLine: (line: string) => void;
  readonly #limitBytes: number;
  /** The start of a line whose end has not arrived. */
  #partial: Buffer[] = [];
  #partialBytes = 0;

  constructor(onLine: (line: string) => void, limitBytes: number) {
    this.#onLine = onLine;
    this.#limitBytes = limitBytes;
  }

  /**
   * Takes the next bytes and hands out the lines that they complete.
   *
   * @throws FrameTooLargeError; whatever `onLine` throws.
   */
  push(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end === -1) break;
      this.#line(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /**
   * The stream has ended: what is left is a line.
   *
   * @throws whatever `onLine` throws.
   */
  end(): void {
    if (this.#partialBytes > 0) this.#line(Buffer.alloc(0));
  }

  #line(rest: Buffer): void {
    const bytes = this.#partialBytes === 0 ? rest : Buffer.concat([...this.#partial, rest]);
    this.#partial = [];
    this.#partialBytes = 0;
    const end = bytes.at(-1) === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length;
    if (end > this.#limitBytes) throw new FrameTooLargeError('JSON line too large');
    if (end > 0) this.#onLine(bytes.toString('utf8', 0, end));
  }

  /** A copy, so that a few bytes do not hold the whole block that the socket read. */
  #keep(rest: Buffer): void {
    this.#partialBytes += rest.length;
    if (this.#partialBytes > this.#limitBytes) throw new FrameTooLargeError('JSON line too large');
    this.#partial.push(Buffer.from(rest));
  }
}
