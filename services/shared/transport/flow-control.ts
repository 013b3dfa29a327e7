/**
 * The pause signal of one generation. The reader (a socket, a stream) calls `pause` and `resume`; whoever reads from the
 * engine listens and stops or goes on reading, so that a slow reader slows its own engine request and nothing else.
 */
export class FlowControl {
  #paused = false;
  #listener: ((paused: boolean) => void) | undefined;

  /** Whether the reader wants nothing more for now. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Asks the source to stop. Events that are already on their way still arrive. */
  pause(): void {
    this.#set(true);
  }

  /** Asks the source to go on. */
  resume(): void {
    this.#set(false);
  }

  /**
   * Makes `listener` the one source that is steered; it replaces an earlier one and is told at once when the flow is
   * paused already. A generation has one source at a time.
   */
  connect(listener: (paused: boolean) => void): void {
    this.#listener = listener;
    if (this.#paused) listener(true);
  }

  #set(paused: boolean): void {
    if (this.#paused === paused) return;
    this.#paused = paused;
    this.#listener?.(paused);
  }
}
