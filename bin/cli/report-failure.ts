import { failureOf } from './failure.ts';
import { failureLine } from './failure-line.ts';
import type { OutputStream } from './output/terminal.ts';
import type { Session } from './session.ts';

/** Says on standard error what a command could not do, and how the process ends. */
export function reportFailure(
  error: unknown,
  session: Session | undefined,
  stderr: OutputStream,
  isJson: boolean,
): number {
  // Told to stop: whatever broke by that is no news.
  if (session?.stopCode !== undefined) return session.stopCode;
  const failure = failureOf(error, session?.url ?? '');
  stderr.write(failureLine(failure, isJson));
  return failure.exitCode;
}
