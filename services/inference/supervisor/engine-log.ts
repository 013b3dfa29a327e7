import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { createLineReader } from './line-reader.ts';
import { createLogFile } from './log-file.ts';
import { type EngineLogLine, LogLines } from './log-lines.ts';
import { createLogText } from './log-text.ts';

/** How many lines are kept in memory at least, for the engine and for the start that runs. */
const KEPT_LINES = 1_000;

/** The output of one start of an engine. */
export interface StartLog {
  /** Makes the reader of one stream: it takes decoded pieces of text, cuts them into lines, and never throws or waits. */
  reader(fromStderr: boolean): (piece: string) => void;
  /** The last `count` lines of this start, oldest first; at least 1,000 are kept. */
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
  /** Adds a line of the supervisor's own, e.g. "started: process 123"; it appears as "[mesh] started: process 123". */
  add(text: string): void;
  /**
   * Calls `listener` with every further line until the returned function is called, and `onClose` when none will follow.
   */
  follow(listener: (line: EngineLogLine) => void, onClose?: () => void): () => void;
  /** Ends the followers, writes what waits for the disk and closes the file. Never rejects. */
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
  /** Is told when the file cannot be written; the lines in memory go on. */
  readonly log: Logger;
}

/** An empty log. Nothing is written before the first line. */
export function createEngineLog({ name, directory, now, log }: EngineLogOptions): EngineLog {
  const path = join(directory, logFileName(name));
  const file = createLogFile(path, {
    onProblem: (error) => log.error({ err: error, engine: name, path }, 'the log of an engine cannot be written'),
  });
  const lines = new LogLines(KEPT_LINES);
  const followers = new Map<(line: EngineLogLine) => void, (() => void) | undefined>();
  const ownText = createLogText([]);

  function publish(line: EngineLogLine): void {
    lines.add(line);
    file.write(`${new Date(line.atMs).toISOString()} ${line.fromStderr ? 'stderr' : 'stdout'} ${line.text}\n`);
    for (const listener of followers.keys()) listener(line);
  }

  return {
    tail: (count) => lines.tail(count),
    forStart(secrets, onLine) {
      const text = createLogText(secrets);
      const own = new LogLines(KEPT_LINES);
      const ends: (() => void)[] = [];
      return {
        reader(fromStderr) {
          const take = (lineText: string): void => {
            const line = { atMs: now(), fromStderr, text: lineText };
            own.add(line);
            publish(line);
            onLine?.(line);
          };
          const dropped = (count: number): void => take(`[mesh] ${count} lines were left out: too many at once`);
          const reader = createLineReader({ line: (raw) => take(text.clean(raw)), dropped }, text.needed);
          ends.push(reader.end);
          return reader.read;
        },
        tail: (count) => own.tail(count),
        end() {
          for (const end of ends) end();
        },
      };
    },
    add: (text) => publish({ atMs: now(), fromStderr: false, text: `[mesh] ${ownText.clean(text)}` }),
    follow(listener, onClose) {
      followers.set(listener, onClose);
      return () => followers.delete(listener);
    },
    async close() {
      const closing = [...followers.values()];
      followers.clear();
      for (const onClose of closing) onClose?.();
      await file.close();
    },
  };
}

/** A file name of a name that may hold anything; two names never share one. */
function logFileName(name: string): string {
  const safe = name.replaceAll(/[^A-Za-z0-9._-]/g, '_').replace(/^\./, '_');
  if (safe === name && safe.length <= 100) return `${safe}.log`;
  return `${safe.slice(0, 100)}-${createHash('sha256').update(name).digest('hex').slice(0, 12)}.log`;
}
