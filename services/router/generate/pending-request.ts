import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall } from '../../shared/transport/generate.ts';
import type { Timed } from './deadlines.ts';

/** A request that has no engine yet: whatever ends a generation ends its waiting. */
export class PendingRequest implements Timed {
  readonly startedAtMs: number;
  readonly timeoutMs: number | undefined;
  readonly hasToken = false;
  readonly isPaused = false;
  progressed = false;
  readonly #abort = new AbortController();
  readonly #caller: AbortSignal;
  readonly #onCallerAbort = (): void => this.expire(this.#caller.reason);

  constructor({ signal, timeoutMs }: Pick<GenerationCall, 'signal' | 'timeoutMs'>, startedAtMs: number) {
    this.#caller = signal;
    this.startedAtMs = startedAtMs;
    this.timeoutMs = timeoutMs;
    if (signal.aborted) this.#onCallerAbort();
    else signal.addEventListener('abort', this.#onCallerAbort, { once: true });
  }

  /** Aborts when the waiting is to end, with a MeshError: the caller left, a time limit, a revocation, a shutdown. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  expire(error: MeshError): void {
    this.#abort.abort(error);
  }

  stalled(error: MeshError): void {
    this.expire(error);
  }

  /** It has an engine, or has failed. */
  close(): void {
    this.#caller.removeEventListener('abort', this.#onCallerAbort);
  }
}
