import { printable } from '../../services/shared/observability/printable.ts';
import { failureOf } from './failure.ts';
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
  const { exitCode, reason, message, hint } = failureOf(error, session?.url ?? '');
  if (isJson) {
    stderr.write(`${JSON.stringify({ error: { reason, message, ...(hint ? { hint } : {}), exitCode } })}\n`);
  } else {
    stderr.write(`inference-mesh: ${printable(message)}\n${hint ? `${hint}\n` : ''}`);
  }
  return exitCode;
}
