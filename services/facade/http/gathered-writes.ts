import type { StreamedBody } from './streamed-body.ts';

/** So many responses are sent to at once without waiting for the end of the turn, which may be long. */
const MOST_WAITING = 32;

/** So much text of one response is sent without waiting, so that it is known in time whether its client keeps up. */
const MOST_CHARACTERS = 16 * 1024;

/**
 * The body of one response. What is written to it in one turn of the event loop leaves in one piece when the turn is over: to read
 * from many sockets and then to write to many costs less than to do both in turn, and a client that is woken once for several
 * tokens costs less than one that is woken for each.
 */
export class GatheredWrites {
  /** Who has something to send in this turn. */
  static #waiting: GatheredWrites[] = [];
  static #turnEnd: NodeJS.Immediate | undefined;

  readonly #body: StreamedBody;
  readonly #onFull: () => void;
  #text = '';
  #lastSentAtMs = performance.now();

  /** `onFull` is called when the client does not keep up; the response emits `drain` when it does again. */
  constructor(body: StreamedBody, onFull: () => void) {
    this.#body = body;
    this.#onFull = onFull;
  }

  /** When something last left, in milliseconds of `performance.now()`. */
  get lastSentAtMs(): number {
    return this.#lastSentAtMs;
  }

  /** Sends it with what else this turn brings. */
  write(text: string): void {
    const waiting = GatheredWrites.#waiting;
    if (this.#text === '') waiting.push(this);
    this.#text += text;
    if (this.#text.length >= MOST_CHARACTERS || waiting.length >= MOST_WAITING) GatheredWrites.#sendAll();
    else GatheredWrites.#turnEnd ??= setImmediate(GatheredWrites.#endTurn);
  }

  /** Sends it now. */
  send(text: string): void {
    this.#text += text;
    this.#send(performance.now());
  }

  /** Sends what is left, and ends the response. */
  end(text: string): void {
    const rest = this.#text + text;
    this.#text = '';
    this.#body.end(rest);
  }

  /** Forgets what has not left. */
  drop(): void {
    this.#text = '';
  }

  static #endTurn(): void {
    GatheredWrites.#turnEnd = undefined;
    GatheredWrites.#sendAll();
  }

  static #sendAll(): void {
    const gathered = GatheredWrites.#waiting;
    GatheredWrites.#waiting = [];
    const nowMs = performance.now();
    for (const one of gathered) one.#send(nowMs);
  }

  #send(nowMs: number): void {
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
    this.#lastSentAtMs = nowMs;
    if (!this.#body.write(text)) this.#onFull();
  }
}
