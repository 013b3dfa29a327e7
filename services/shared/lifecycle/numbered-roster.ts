interface Place<T> {
  item: T | undefined;
}

/**
 * As Roster, for those that are asked for by number. A Map it is, with its old tables; what they go on holding are places that have
 * been emptied.
 */
export class NumberedRoster<T> {
  readonly #places = new Map<number, Place<T>>();

  /** How many are present. */
  get size(): number {
    return this.#places.size;
  }

  /** Undefined: nobody of that number is present. */
  get(number: number): T | undefined {
    return this.#places.get(number)?.item;
  }

  /** Adds `item` under a number that nobody present has. */
  add(number: number, item: T): void {
    this.#places.set(number, { item });
  }

  /** Whoever has that number is present no more. */
  remove(number: number): void {
    const place = this.#places.get(number);
    if (!place) return;
    place.item = undefined;
    this.#places.delete(number);
  }

  /** Those that are present, in the order in which they came. Who leaves meanwhile is not met. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const { item } of this.#places.values()) if (item !== undefined) yield item;
  }
}
