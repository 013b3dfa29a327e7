import type { InputStream, OutputStream } from './output/terminal.ts';

/** How a program is told to stop, as the numbers of shells have it. */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** What the command line has of its process; only the entry file touches that itself. */
export interface Host {
  readonly env: NodeJS.ProcessEnv;
  readonly workingDirectory: string;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly version: string;
  readonly nodeVersion: string;
  /** Called once for each signal that comes. */
  onSignal(listener: (signal: StopSignal) => void): void;
  /** Called when the process ends, however it does so except by a signal that nobody can catch; nothing may wait. */
  onExit(listener: () => void): void;
  /** Ends the process now. */
  exit(code: number): never;
}
