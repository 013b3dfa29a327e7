/**
 * Collects what becomes ready in one turn of the event loop and hands it on together. A microtask would come after every
 * single read of a socket and gain nothing.
 */
export class TurnBatch<T> {
  readonly #handOn: (items: T[]) => void;
  #items: T[] = [];

  /** `handOn` gets everything that was added since its last call, in order. */
  constructor(handOn: (items: T[]) => void) {
    this.#handOn = handOn;
  }

  /** Adds one to this turn's. */
  add(item: T): void {
    if (this.#items.push(item) === 1) setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    const items = this.#items;
    this.#items = [];
    this.#handOn(items);
  };
}
