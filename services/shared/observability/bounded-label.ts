/** What values beyond the bound are counted under. */
export const OTHER = 'other';

/**
 * Bounds the values of a label that callers decide: the first so many keep their own, all later ones share one. A series once
 * made stays for the life of a process, so neither is forgotten.
 */
export class BoundedLabel {
  readonly #most: number;
  readonly #known = new Set<string>();

  /** `most` 0: all share one. */
  constructor(most: number) {
    this.#most = most;
  }

  /** The value to count under. */
  of(value: string): string {
    if (this.#known.has(value)) return value;
    if (this.#known.size >= this.#most) return OTHER;
    this.#known.add(value);
    return value;
  }
}
