import type { EngineExchange, EnginePool, EngineRequest } from './engine-pool.ts';
import type { ResponseHandler } from './engine-socket.ts';
import { MalformedResponseError, type ResponseHead } from './response-head.ts';

/** A whole answer. */
export interface WholeAnswer {
  readonly status: number;
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** How much of an answer is taken, in bytes. */
const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Sends a request and takes the whole answer; any status is one. It has no limit of time besides `signal`, which ends it also while it
 * is answered. What went out on a kept connection that the server closed just then is sent again: it must be something that may be
 * asked twice.
 *
 * @throws the signal's reason; an Error for what is no answer, without the bytes that came.
 */
export function wholeAnswer(pool: EnginePool, request: EngineRequest, signal: AbortSignal): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    new Collector({ pool, request, signal, resolve, reject }).start();
  });
}

interface Asked {
  readonly pool: EnginePool;
  readonly request: EngineRequest;
  readonly signal: AbortSignal;
  readonly resolve: (answer: WholeAnswer) => void;
  readonly reject: (error: unknown) => void;
}

class Collector implements ResponseHandler {
  readonly #asked: Asked;
  readonly #onAbort = (): void => this.#fail(this.#asked.signal.reason);
  readonly #parts: Buffer[] = [];
  #exchange: EngineExchange | undefined;
  #head: ResponseHead | undefined;
  #bytes = 0;
  #isComplete = false;
  #isAskedAgain = false;
  /** What to fail with when the read has been worked off. */
  #failure: Error | undefined;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  start(): void {
    const { pool, request, signal } = this.#asked;
    this.#exchange = pool.send(request, this);
    signal.addEventListener('abort', this.#onAbort);
  }

  onHead(head: ResponseHead): void {
    this.#head = head;
  }

  onBody(bytes: Buffer): void {
    if (this.#failure) return;
    this.#bytes += bytes.length;
    if (this.#bytes > ANSWER_LIMIT_BYTES) {
      this.#failure = new Error(`an answer of more than ${ANSWER_LIMIT_BYTES} bytes`);
    } else this.#parts.push(Buffer.from(bytes));
  }

  onComplete(): void {
    this.#isComplete = true;
  }

  onFailed(error: Error): void {
    // Ends with a connection that is new: each that was kept is gone by then.
    this.#isAskedAgain = this.#exchange?.isOnKept === true && !this.#head && !(error instanceof MalformedResponseError);
    if (this.#isAskedAgain) return;
    this.#failure ??= error instanceof MalformedResponseError ? new Error(`no HTTP: ${error.message}`) : error;
  }

  onReadOver(): void {
    if (this.#isAskedAgain) this.#sendAgain();
    else if (this.#failure) this.#fail(this.#failure);
    else if (this.#isComplete && this.#head) {
      this.#asked.signal.removeEventListener('abort', this.#onAbort);
      const { status, headers } = this.#head;
      this.#asked.resolve({ status, headers, body: new TextDecoder().decode(Buffer.concat(this.#parts)) });
    }
  }

  #sendAgain(): void {
    this.#isAskedAgain = false;
    const { pool, request } = this.#asked;
    this.#exchange = pool.send(request, this);
  }

  #fail(error: unknown): void {
    this.#asked.signal.removeEventListener('abort', this.#onAbort);
    this.#exchange?.abort();
    this.#asked.reject(error);
  }
}
