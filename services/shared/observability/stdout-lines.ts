import { fstatSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { pino } from 'pino';

/** What may wait for a reader who does not read, in bytes; lines beyond it are lost. */
const MOST_WAITING_BYTES = 4_194_304;

/** How long the end waits for that reader, in milliseconds. */
const CLOSE_MS = 1_000;

/** Lines on standard output; whoever reads them, or the disk that they go to, holds nothing up. */
export interface StdoutLines {
  /** Never throws and never waits. */
  write(line: string): void;
  /** Writes out what waits, for a while at most. Never rejects. */
  close(): Promise<void>;
}

/**
 * Opens standard output for lines.
 *
 * @param stdout the stream of the process: used where it leads to another process
 * @param onBroken called once when lines cannot be written
 */
export function openStdout(stdout: Writable, onBroken: (error: Error) => void): StdoutLines {
  // Nobody reads any more, or the disk is full: what was written there is lost, and the process goes on.
  stdout.on('error', () => undefined);
  const stats = fstatSync(1);
  // Node waits for files, but not for pipes; a thread that waits for a pipe would hold up the end of the process.
  return stats.isFIFO() || stats.isSocket() ? toProcess(stdout) : toFile(onBroken);
}

function toProcess(stdout: Writable): StdoutLines {
  return {
    write(line) {
      if (stdout.writable && stdout.writableLength <= MOST_WAITING_BYTES) stdout.write(line);
    },
    close: () => within(CLOSE_MS, (done) => (stdout.writable ? void stdout.write('', () => done()) : done())),
  };
}

function toFile(onBroken: (error: Error) => void): StdoutLines {
  const file = pino.destination({ dest: 1, sync: false, maxLength: MOST_WAITING_BYTES });
  let isBroken = false;
  // At the end of the process pino writes what is left, and there it would be the end of the process that fails.
  const flush = file.flushSync.bind(file);
  file.flushSync = () => {
    if (!isBroken) flush();
  };
  file.on('error', (error: Error) => {
    if (!isBroken) onBroken(error);
    isBroken = true;
  });
  return {
    write: (line) => void file.write(line),
    close: () =>
      within(CLOSE_MS, (done) => {
        file.once('close', done);
        file.once('error', done);
        file.end();
      }),
  };
}

/** Resolves when `work` is done, or after the time. */
async function within(timeoutMs: number, work: (done: () => void) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  work(resolve);
  await promise;
  clearTimeout(timer);
}
