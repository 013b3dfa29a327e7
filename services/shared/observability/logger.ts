import { type Logger, type LoggerOptions, pino } from 'pino';
import { printable } from './printable.ts';
import { timeField } from './time-field.ts';
import { tracer } from './tracer.ts';

/** What is never written, under these names at the top of a record and one level below. */
const SECRETS = [
  'authorization',
  'x-api-key',
  'mesh-token',
  'api_key',
  'apiKey',
  'credential',
  'password',
  'secret',
  'token',
];

/** How verbose a log is. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** Our name of a level as somebody writes it, names of other systems included ("WARNING"); else the text in lower case. */
export function logLevelName(text: string): string {
  const level = text.toLowerCase();
  return { warning: 'warn', critical: 'fatal' }[level] ?? level;
}

/** Where the lines of a log go. */
export interface LogDestination {
  /**
   * Takes a line, with its end.
   *
   * @param level its level as pino counts: 50 and more are errors
   */
  write(line: string, level: number): void;
}

/**
 * Makes the logger of a process: one JSON object per line.
 *
 * @param destination where lines go; default standard output, which is waited for
 */
export function createLogger(options: { readonly level: LogLevel; readonly destination?: LogDestination }): Logger {
  const settings: LoggerOptions = {
    level: options.level,
    base: { pid: process.pid },
    timestamp: timeField,
    formatters: { level: (label) => ({ level: label }) },
    mixin: traceOfLine,
    redact: { paths: SECRETS.flatMap((name) => [`["${name}"]`, `*["${name}"]`]), censor: '[secret]' },
    serializers: { err: describeError, headers: () => undefined, req: () => undefined, res: () => undefined },
  };
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  const stream = {
    // Makes pino tell the level of each line.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(line: string) {
      // JSON escapes the control characters of ASCII alone; the others stand in texts only, where an escape means the same.
      destination.write(printable(line), this.lastLevel);
    },
  };
  return pino(settings, stream);
}

/** What is said in the course of a request that is traced says of which trace it is. A new object: the line is put into it. */
function traceOfLine(): { traceId?: string } {
  const traceId = tracer().activeTraceId;
  return traceId === undefined ? {} : { traceId };
}

/** Own properties of errors are left out: those of HTTP clients and of Redis hold headers, addresses and arguments. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? { code: error.code } : {};
  const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
  return { type: error.name, message: error.message, stack: error.stack, ...code, ...cause };
}
