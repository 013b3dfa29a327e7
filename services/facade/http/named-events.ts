/** Frames of an event stream whose events have names, which their data repeats as `type`. */
export class NamedEvents {
  #frames = '';
  #sent = 0;

  /** How many there were. */
  get sent(): number {
    return this.#sent;
  }

  /** Adds one. */
  send(type: string, fields: object): void {
    this.#frames += `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
    this.#sent += 1;
  }

  /** The frames since the last call. */
  take(): string {
    const frames = this.#frames;
    this.#frames = '';
    return frames;
  }
}
