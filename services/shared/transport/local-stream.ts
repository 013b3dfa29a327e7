/**
 * The messages of a handler as its caller reads them. When the signal aborts, the caller hears of it at once, even from a
 * handler that waits for something else, and the handler's `finally` runs as soon as it comes to.
 */
export function localStream<T>(output: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  const iterator = output[Symbol.asyncIterator]();
  let finished = false;
  let rejectPending: ((reason: unknown) => void) | undefined;

  function release(): void {
    finished = true;
    signal.removeEventListener('abort', onAbort);
    // The reader has the reason already; what the handler throws while it cleans up has no reader.
    iterator.return?.().catch(() => {});
  }

  function onAbort(): void {
    if (finished) return;
    rejectPending?.(signal.reason);
    release();
  }

  function next(): Promise<IteratorResult<T>> {
    if (signal.aborted && !finished) onAbort();
    if (finished) return signal.aborted ? Promise.reject(signal.reason) : Promise.resolve(DONE);
    return new Promise((resolve, reject) => {
      rejectPending = reject;
      iterator.next().then(
        (result) => {
          if (result.done) finished = true;
          resolve(result);
        },
        (error: unknown) => {
          finished = true;
          reject(error);
        },
      );
    });
  }

  signal.addEventListener('abort', onAbort, { once: true });
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

const DONE = { done: true, value: undefined } as const;
