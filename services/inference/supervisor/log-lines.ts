/** A line of an engine's output. */
export interface EngineLogLine {
  /** When it was read, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly fromStderr: boolean;
  /** Secrets masked. */
  readonly text: string;
}

/** How many lines are kept. */
const KEPT_LINES = 500;

/** Longer lines are cut: a flood without line ends must not fill the memory. */
const LINE_LIMIT = 4_096;

const MASK = '[secret]';

/** What looks like a key or token wherever it comes from. */
const SECRET_PATTERN = /\b(?:bearer\s+\S+|hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,})/gi;

/** The last lines of an engine's output. */
export class LogLines {
  readonly #secrets: readonly string[];
  readonly #now: () => number;
  readonly #onLine: (line: EngineLogLine) => void;
  #lines: EngineLogLine[] = [];

  /** `secrets` are texts to mask; `onLine` gets every line once. */
  constructor(secrets: readonly string[], now: () => number, onLine: (line: EngineLogLine) => void) {
    this.#secrets = secrets.filter((secret) => secret !== '');
    this.#now = now;
    this.#onLine = onLine;
  }

  /** The last `count` lines, oldest first. */
  tail(count: number): readonly EngineLogLine[] {
    return this.#lines.slice(-count);
  }

  /** Makes a reader for one stream: it takes pieces of text and cuts them into lines. */
  reader(fromStderr: boolean): (piece: string) => void {
    let partial = '';
    return (piece) => {
      const lines = (partial + piece).split(/\r?\n/);
      partial = (lines.pop() ?? '').slice(0, LINE_LIMIT);
      for (const line of lines) if (line !== '') this.#add(line, fromStderr);
    };
  }

  #add(line: string, fromStderr: boolean): void {
    let text = line.slice(0, LINE_LIMIT);
    for (const secret of this.#secrets) text = text.replaceAll(secret, MASK);
    const entry = { atMs: this.#now(), fromStderr, text: text.replace(SECRET_PATTERN, MASK) };
    this.#lines.push(entry);
    // Cut in halves, not one by one: shifting an array for every line of a flood would cost more than the lines.
    if (this.#lines.length > 2 * KEPT_LINES) this.#lines = this.#lines.slice(-KEPT_LINES);
    this.#onLine(entry);
  }
}
