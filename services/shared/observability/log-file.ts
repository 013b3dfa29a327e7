import { appendFileSync } from 'node:fs';
import { basename } from 'node:path';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import { type LogKind, linkTo, logFileName, newestIndex, removeOldFiles } from './log-names.ts';

/** How long lines are collected before they are written together, in milliseconds: a write costs as much as ten lines. */
const COLLECT_MS = 100;

/** With so much they are written at once, in characters. */
const COLLECT_LENGTH = 65_536;

/** What may wait for a slow disk, in bytes; lines beyond it are lost and counted. */
const MOST_WAITING_BYTES = 8_388_608;

/** How long a disk that took nothing is left alone, in milliseconds. */
const RETRY_MS = 5_000;

/** How long the end waits for a disk, in milliseconds. */
const CLOSE_MS = 2_000;

/** What a log file is made of. */
export interface LogFileOptions {
  readonly directory: string;
  readonly kind: LogKind;
  /** How large a file grows, in bytes. */
  readonly mostBytes: number;
  /** How many files of the kind are kept. */
  readonly keepFiles: number;
  /** Called once when lines cannot be written any more. */
  readonly onBroken: (error: Error) => void;
  /** Called when they can again, with how many were lost. */
  readonly onMended: (lostLines: number) => void;
  /** Default RETRY_MS. */
  readonly retryMs?: number;
}

/**
 * The current file of a kind: lines are collected, appended behind the back of whoever logs, and go to another file with the
 * day and when it is full. Several processes may append to the same files. A disk that is slow or full holds nothing up: what
 * cannot be kept is lost, and counted.
 */
export class LogFile {
  readonly #options: LogFileOptions;
  #stream: RotatingFileStream | undefined;
  /** What the disk was last known to take. */
  #path: string | undefined;
  #collected = '';
  #lines = 0;
  #timer: NodeJS.Timeout | undefined;
  #lost = 0;
  #isBroken = false;
  /** Whether the last line may have been cut off in the middle. */
  #isTorn = false;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  /** Resolves when links lead to the current file and old ones are gone. */
  #tidied = Promise.resolve();
  readonly #write = (): void => this.flush();

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#open();
  }

  /** Adds a line, with its end. Never throws and never waits. */
  write(line: string): void {
    if (this.#isClosed) return;
    this.#collected += line;
    this.#lines += 1;
    if (this.#collected.length >= COLLECT_LENGTH) this.flush();
    else this.#timer ??= setTimeout(this.#write, COLLECT_MS).unref();
  }

  /** Hands what was collected to the disk, without waiting for it. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#lines === 0) return;
    const lines = this.#lines;
    const stream = this.#stream ?? this.#open();
    if (!stream || stream.writableLength > MOST_WAITING_BYTES) this.#lost += lines;
    else {
      const text = this.#isTorn ? `\n${this.#collected}` : this.#collected;
      stream.write(text, (error) => (error ? this.#failed(stream, error, lines) : this.#written()));
    }
    this.#collected = '';
    this.#lines = 0;
  }

  /** Writes what was collected before it returns: for a process that ends at once. Never throws. */
  flushSync(): void {
    if (this.#path === undefined || this.#lines === 0 || this.#isBroken) return;
    try {
      appendFileSync(this.#path, this.#collected);
    } catch {
      // There is nobody left to be told.
    }
    this.#collected = '';
    this.#lines = 0;
  }

  /** Writes out what waits, for a while at most. Never rejects. */
  async close(): Promise<void> {
    this.flush();
    this.#isClosed = true;
    const stream = this.#stream;
    if (!stream || stream.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_MS);
    stream.once('close', () => this.#tidied.then(resolve));
    stream.end();
    await promise;
    clearTimeout(timer);
  }

  /** Undefined: it was tried a short time ago. */
  #open(): RotatingFileStream | undefined {
    const { directory, kind, mostBytes, keepFiles, retryMs = RETRY_MS } = this.#options;
    const nowMs = performance.now();
    if (nowMs - this.#triedAtMs < retryMs) return undefined;
    this.#triedAtMs = nowMs;
    let before = 0;
    const nameOf = (time: Date | number | null, index = 1): string => {
      // The library looks from the first file on; those that were removed are not begun again.
      if (index === 1) before = newestIndex(directory, kind, dateOf(time)) - 1;
      return logFileName(kind, dateOf(time), before + index);
    };
    const stream = createStream(nameOf, {
      ...{ path: directory, interval: '1d', intervalUTC: true, size: `${mostBytes}B`, immutable: true, mode: 0o640 },
    });
    stream.on('open', (path: string) => {
      this.#path = path;
      // A disk that cannot do that may still take lines, and who has removed the directory knows.
      this.#tidied = this.#tidied
        .then(() => linkTo(directory, kind, basename(path)))
        .then(() => removeOldFiles(directory, kind, keepFiles))
        .catch(() => undefined);
    });
    stream.on('error', (error) => this.#failed(stream, error, 0));
    this.#stream = stream;
    return stream;
  }

  #written(): void {
    if (!this.#isBroken && this.#lost === 0) return;
    const lost = this.#lost;
    this.#isBroken = false;
    this.#isTorn = false;
    this.#lost = 0;
    this.#options.onMended(lost);
  }

  #failed(stream: RotatingFileStream, error: Error, lines: number): void {
    this.#lost += lines;
    this.#isTorn = true;
    stream.destroy();
    if (this.#stream === stream) this.#stream = undefined;
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#options.onBroken(error);
  }
}

/** The library asks once for the name without a time, before it asks for the name of today. */
function dateOf(time: Date | number | null): Date {
  return time instanceof Date ? time : new Date();
}
