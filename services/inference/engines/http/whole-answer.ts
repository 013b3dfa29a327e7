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
 * is answered.
 *
 * @throws the signal's reason; an Error for what is no answer, without the bytes that came.
 */
export function wholeAnswer(pool: EnginePool, request: EngineRequest, signal: AbortSignal): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const collector = new Collector(signal, resolve, reject);
    collector.start(pool, request);
  });
}

class Collector implements ResponseHandler {
  readonly #signal: AbortSignal;
  readonly #resolve: (answer: WholeAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = (): void => this.#fail(this.#signal.reason);
  readonly #parts: Buffer[] = [];
  #exchange: EngineExchange | undefined;
  #head: ResponseHead | undefined;
  #bytes = 0;
  #isComplete = false;
  /** What to fail with when the read has been worked off. */
  #failure: Error | undefined;

  constructor(signal: AbortSignal, resolve: (answer: WholeAnswer) => void, reject: (error: unknown) => void) {
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(pool: EnginePool, request: EngineRequest): void {
    this.#exchange = pool.send(request, this);
    this.#signal.addEventListener('abort', this.#onAbort);
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
    this.#failure ??= error instanceof MalformedResponseError ? new Error(`no HTTP: ${error.message}`) : error;
  }

  onReadOver(): void {
    if (this.#failure) this.#fail(this.#failure);
    else if (this.#isComplete && this.#head) {
      this.#signal.removeEventListener('abort', this.#onAbort);
      const { status, headers } = this.#head;
      this.#resolve({ status, headers, body: new TextDecoder().decode(Buffer.concat(this.#parts)) });
    }
  }

  #fail(error: unknown): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#exchange?.abort();
    this.#reject(error);
  }
}
