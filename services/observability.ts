import { accessSync, constants, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Writable } from 'node:stream';
import type { Logger } from 'pino';
import type { ObservabilityConfig } from './observability-config.ts';
import { ConfigError } from './shared/lifecycle/config-source.ts';
import { type LogFilesOptions, openLogOutput } from './shared/observability/log-output.ts';
import { createLogger } from './shared/observability/logger.ts';
import { createRequestLog, NO_REQUEST_LOG, type RequestLog } from './shared/observability/request-log.ts';

/** What a process is seen by from outside; its services share it. */
export interface Observability {
  readonly log: Logger;
  /** One line per request of a caller. */
  readonly requestLog: RequestLog;
  /** Writes out what is buffered. Never rejects. */
  close(): Promise<void>;
  /** Writes out what log files have not got yet, before it returns: for a process that ends at once. Never throws. */
  flushSync(): void;
}

/** What of a process is needed to be seen. */
export interface ProcessOutputs {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly workingDirectory: string;
}

/** Where log files lie unless told otherwise. */
const LOG_DIR = 'logs';

/**
 * Builds what a process is seen by, before anything else of it.
 *
 * @throws ConfigError for a directory of log files that cannot be used; without the one that nobody named a process runs all the same
 */
export function openObservability(config: ObservabilityConfig, outputs: ProcessOutputs): Observability {
  const { stdout, stderr } = outputs;
  stderr.on('error', () => undefined);
  const say = (text: string): void => void stderr.write(`inference-mesh: ${text}\n`);
  const output = openLogOutput(logFilesOf(config, outputs, say), { stdout, say });
  const log = createLogger({ level: config.log_level, destination: output.app });
  return {
    log,
    // Without files requests are a part of the log, which has them only where it has what is of their level.
    requestLog:
      config.log_dir === 'none' && !log.isLevelEnabled('info')
        ? NO_REQUEST_LOG
        : createRequestLog(output.requests, config.log_bodies),
    close: () => output.close(),
    flushSync: () => output.flushSync(),
  };
}

/** Undefined: there are none. */
function logFilesOf(
  { log_dir: named, log_file_bytes: mostBytes, log_keep_files: keepFiles }: ObservabilityConfig,
  { workingDirectory }: ProcessOutputs,
  say: (text: string) => void,
): LogFilesOptions | undefined {
  if (named === 'none') return undefined;
  const directory = named ?? resolve(workingDirectory, LOG_DIR);
  const problem = problemWith(directory);
  if (problem && named !== undefined)
    throw new ConfigError(`observability.log_dir: ${problem}; name another, or "none"`);
  if (problem) say(`${problem}, so there are no log files; --log-dir says where they lie`);
  return problem ? undefined : { directory, mostBytes, keepFiles };
}

function problemWith(directory: string): string | undefined {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o750 });
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    // A disk that is full now may not be so later.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'ENOSPC' ? undefined : `${directory} cannot be written (${String(code)})`;
  }
}
