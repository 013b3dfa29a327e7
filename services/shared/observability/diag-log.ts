import type { DiagLogger } from '@opentelemetry/api';
import type { Logger } from 'pino';

/** How often the same trouble is told, in milliseconds: a collector that is away would fill a log. */
const SAME_AGAIN_MS = 60_000;

/** What OpenTelemetry says of itself, in the log of the process. What is not a warning is not said. */
export function createDiagLogger(log: Logger, clockMs: () => number = () => performance.now()): DiagLogger {
  const toldAtMs = new Map<string, number>();
  const tell =
    (level: 'warn' | 'error') =>
    (said: string, ...details: unknown[]): void => {
      const message = messageOf(said);
      const key = `${level}${message}`.slice(0, 100);
      const lastMs = toldAtMs.get(key);
      if (lastMs !== undefined && clockMs() - lastMs < SAME_AGAIN_MS) return;
      // Messages may hold what was refused; there are few kinds of them.
      if (toldAtMs.size > 100) toldAtMs.clear();
      toldAtMs.set(key, clockMs());
      log[level]({ details: details.map(textOf) }, `traces: ${message}`);
    };
  return { error: tell('error'), warn: tell('warn'), info() {}, debug() {}, verbose() {} };
}

/** Errors come as JSON, with their stack. */
function messageOf(said: string): string {
  if (!said.startsWith('{')) return said;
  try {
    return String((JSON.parse(said) as { message?: unknown }).message ?? 'an error without a message');
  } catch {
    return said;
  }
}

function textOf(detail: unknown): string {
  return detail instanceof Error ? detail.message : String(detail);
}
