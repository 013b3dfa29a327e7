import { setTimeout as delay } from 'node:timers/promises';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';

const MAX_DELAY_MS = 15_000;

/** Waiting longer for a server that asks for it would look like hanging, in milliseconds. */
const MAX_ASKED_DELAY_MS = 60_000;

/** An attempt failed for a reason that may pass: trying again makes sense. */
export class PassingFailure extends Error {
  override readonly name = 'PassingFailure';
  /** How long the server asks to wait, in milliseconds. */
  readonly retryAfterMs: number;

  constructor(message: string, options: { readonly retryAfterMs?: number; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.retryAfterMs = Math.min(options.retryAfterMs ?? 0, MAX_ASKED_DELAY_MS);
  }
}

/** How attempts are repeated. */
export interface RetryOptions {
  readonly signal: AbortSignal;
  /** How many failures in a row end it. */
  readonly maxFailures: number;
  /** Doubled with each failure in a row. */
  readonly firstDelayMs: number;
  /** How far it is; getting further than ever before starts the count anew. */
  readonly reached: () => number;
  readonly onRetry: (problem: string) => void;
}

/**
 * Repeats an attempt while it fails for reasons that may pass.
 *
 * @throws TemporaryError after too many failures in a row; the signal's reason; anything else that the attempt throws.
 */
export async function withRetries<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, maxFailures, firstDelayMs, reached, onRetry } = options;
  let furthest = reached();
  let failures = 0;
  for (;;) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PassingFailure)) throw error;
      failures = reached() > furthest ? 1 : failures + 1;
      furthest = Math.max(furthest, reached());
      if (failures >= maxFailures) throw new TemporaryError(error.message, { cause: error });
      onRetry(error.message);
      const delayMs = Math.min(MAX_DELAY_MS, firstDelayMs * 2 ** (failures - 1));
      await delay(Math.max(delayMs, error.retryAfterMs), undefined, { signal });
    }
  }
}
