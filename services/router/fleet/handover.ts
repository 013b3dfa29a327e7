/** One value of each of several writers waits for one reader, so that a slow reader slows the writers down. */
export class Handover<T> {
  readonly #waiting: { readonly value: T; readonly taken: () => void }[] = [];
  #reader: PromiseWithResolvers<T> | undefined;
  #end: { readonly reason: unknown } | undefined;

  /** Resolves when the value was taken, or nobody will take it any more. */
  put(value: T): Promise<void> {
    if (this.#end) return Promise.resolve();
    if (this.#reader) {
      this.#reader.resolve(value);
      this.#reader = undefined;
      return Promise.resolve();
    }
    return new Promise((taken) => this.#waiting.push({ value, taken }));
  }

  /** The next value. Rejects with the reason of the end. */
  take(): Promise<T> {
    const next = this.#waiting.shift();
    if (next) {
      next.taken();
      return Promise.resolve(next.value);
    }
    if (this.#end) return Promise.reject(this.#end.reason);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  /** Ends it; what waits is dropped. */
  end(reason: unknown): void {
    if (this.#end) return;
    this.#end = { reason };
    for (const { taken } of this.#waiting.splice(0)) taken();
    this.#reader?.reject(reason);
  }
}
