import type { Logger } from 'pino';
import type { EngineLogLine } from './log-lines.ts';

/** The output of one start of an engine. */
export interface StartLog {
  /** Makes the reader of one stream: it takes decoded pieces of text, cuts them into lines, and never throws or waits. */
  reader(fromStderr: boolean): (piece: string) => void;
  /** The last `count` lines of this start, oldest first; several hundred are kept. */
  tail(count: number): readonly EngineLogLine[];
  /** Takes what was written last without an end of line. To be called once when the process is gone. */
  end(): void;
}

/** The log of one engine over all its starts: the last lines in memory, more of them in a file that rotates. */
export interface EngineLog {
  /** The last `count` lines, oldest first; at least 1,000 are kept. */
  tail(count: number): readonly EngineLogLine[];
  /**
   * The output of a new start.
   *
   * @param secrets texts that are masked wherever they appear
   * @param onLine gets every line once
   */
  forStart(secrets: readonly string[], onLine?: (line: EngineLogLine) => void): StartLog;
  /** Adds a line of the supervisor's own, e.g. "started, process 123". */
  add(text: string): void;
  /** Calls `listener` with every further line until the returned function is called, or `onClose` when none will follow. */
  follow(listener: (line: EngineLogLine) => void, onClose?: () => void): () => void;
  /** Writes what waits for the disk, ends the followers and closes the file. */
  close(): Promise<void>;
}

/** What an engine's log is made of. */
export interface EngineLogOptions {
  /** The configured name of the engine. */
  readonly name: string;
  /** The directory for log files, e.g. `<data>/logs/engines`. Made (mode 0700) with the first line. */
  readonly directory: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Is told once when the file cannot be written; the lines in memory go on. */
  readonly log: Logger;
}

/** An empty log. Nothing is written before the first line. */
export declare function createEngineLog(options: EngineLogOptions): EngineLog;
