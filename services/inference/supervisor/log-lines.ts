/** A line of an engine's log. */
export interface EngineLogLine {
  /** When it was read, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly fromStderr: boolean;
  /** Secrets masked. */
  readonly text: string;
}

/** The last lines of a log. */
export class LogLines {
  readonly #kept: number;
  #lines: EngineLogLine[] = [];

  /** Keeps at least `kept` lines and at most twice as many. */
  constructor(kept: number) {
    this.#kept = kept;
  }

  /** Adds a line. */
  add(line: EngineLogLine): void {
    this.#lines.push(line);
    // Cut in halves, not one by one: shifting an array for every line of a flood would cost more than the lines.
    if (this.#lines.length > 2 * this.#kept) this.#lines = this.#lines.slice(-this.#kept);
  }

  /** The last `count` lines, oldest first. */
  tail(count: number): readonly EngineLogLine[] {
    return this.#lines.slice(Math.max(0, this.#lines.length - count));
  }
}
