/** How many generations this router has running on each engine. Counted at dispatch, released once on every way out. */
export class InFlight {
  readonly #counts = new Map<string, number>();

  /** How many run on the engine with this candidate id. */
  count(id: string): number {
    return this.#counts.get(id) ?? 0;
  }

  /** Counts one in and returns what counts it out; calling that again does nothing. */
  acquire(id: string): () => void {
    this.#counts.set(id, this.count(id) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = this.count(id) - 1;
      if (left === 0) this.#counts.delete(id);
      else this.#counts.set(id, left);
    };
  }
}
