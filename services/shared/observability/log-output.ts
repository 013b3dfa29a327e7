import type { Writable } from 'node:stream';
import { LogFile } from './log-file.ts';
import type { LogKind } from './log-names.ts';
import type { LogDestination } from './logger.ts';
import { openStdout } from './stdout-lines.ts';

/** The least level of the file of errors, as pino counts. */
const ERROR_LEVEL = 50;

/** Where log files lie, and how they come and go. */
export interface LogFilesOptions {
  readonly directory: string;
  /** How large a file grows, in bytes. */
  readonly mostBytes: number;
  /** How many files of each kind are kept. */
  readonly keepFiles: number;
}

/** Where a process writes what it logs. */
export interface LogOutput {
  /** Of the log: standard output, the file of the app, and that of errors. */
  readonly app: LogDestination;
  /** Of the request log: its file; without files standard output. */
  readonly requests: LogDestination;
  /** Writes out what waits, for a while at most. Never rejects. */
  close(): Promise<void>;
  /** Writes what was collected before it returns: for a process that ends at once. Never throws. */
  flushSync(): void;
}

/** What a log is shown by, besides its files. */
export interface Shown {
  /** Standard output. */
  readonly stdout: Writable;
  /** Shows a sentence to people, beside the log: when lines can be written no more. */
  readonly say: (text: string) => void;
}

/** Opens the outputs of a process. */
export function openLogOutput(files: LogFilesOptions | undefined, { stdout: stream, say }: Shown): LogOutput {
  const stdout = openStdout(stream, (error) =>
    say(`standard output cannot be written, and serving goes on: ${error.message}`),
  );
  if (!files) return { app: stdout, requests: stdout, close: () => stdout.close(), flushSync: () => {} };

  const broken = new Set<LogFile>();
  let lost = 0;
  const open = (kind: LogKind): LogFile => {
    const file: LogFile = new LogFile({
      ...files,
      kind,
      onBroken(error) {
        // The disk is one: what is said of one file holds for all.
        if (broken.size === 0) say(`log files cannot be written, and serving goes on: ${error.message}`);
        broken.add(file);
      },
      onMended(lines) {
        broken.delete(file);
        lost += lines;
        if (broken.size > 0) return;
        app.write(noteOf(lost));
        lost = 0;
      },
    });
    return file;
  };
  const app = open('app');
  const errors = open('errors');
  const requests = open('requests');
  const all = [app, errors, requests];
  return {
    app: {
      write(line, level) {
        stdout.write(line);
        app.write(line);
        if (level >= ERROR_LEVEL) errors.write(line);
      },
    },
    requests,
    close: async () => void (await Promise.all([...all.map((file) => file.close()), stdout.close()])),
    flushSync: () => {
      for (const file of all) file.flushSync();
    },
  };
}

/** The line that says what is not there. */
function noteOf(lostLines: number): string {
  return `${JSON.stringify({ level: 'warn', pid: process.pid, time: new Date().toISOString(), lostLines, msg: 'log files can be written again' })}\n`;
}
