/** How long an engine counts as full after it said that it is busy, in milliseconds. Its next report tells how full it is. */
const BUSY_MS = 200;

/** Engines that have just refused a request because they are busy. */
export class BusyEngines {
  readonly #ids = new Set<string>();
  readonly #onOver: () => void;

  /** @param onOver is called when one may be tried again */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  add(id: string): void {
    if (this.#ids.has(id)) return;
    this.#ids.add(id);
    setTimeout(() => {
      this.#ids.delete(id);
      this.#onOver();
    }, BUSY_MS).unref();
  }
}
