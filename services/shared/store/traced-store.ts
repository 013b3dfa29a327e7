import type { Redis } from 'ioredis';
import { MeshError } from '../errors/mesh-error.ts';
import { NAMES } from '../observability/telemetry-names.ts';
import { type Span, tracer } from '../observability/tracer.ts';

// Calls of the store are parts of what is recorded now; what the store does by itself, or for many at once, is part of nothing.
// Spans name the operation and hold neither keys nor values.

/** Makes every command that is sent for a recorded piece of work a part of it. */
export function traceCommands(redis: Redis): void {
  if (!tracer().isOn) return;
  const send = redis.sendCommand.bind(redis);
  redis.sendCommand = (command, stream) => {
    const span = beginStoreSpan('redis', command.name.toUpperCase());
    const answer = send(command, stream);
    if (span) {
      command.promise.then(
        () => span.end(),
        (error: unknown) => endFailed(span, error),
      );
    }
    return answer;
  };
}

/** Runs a piece of work of the embedded store as a part of what is recorded now. */
export function inStoreSpan<T>(operation: string, work: () => T): T {
  const span = beginStoreSpan('sqlite', operation);
  if (!span) return work();
  try {
    const result = work();
    if (!(result instanceof Promise)) span.end();
    else
      result.then(
        () => span.end(),
        (error: unknown) => endFailed(span, error),
      );
    return result;
  } catch (error) {
    endFailed(span, error);
    throw error;
  }
}

function beginStoreSpan(system: 'redis' | 'sqlite', operation: string): Span | undefined {
  const to = tracer();
  if (!to.hasActive) return undefined;
  const attributes = { [NAMES.dbSystem]: system, [NAMES.dbOperation]: operation };
  return to.begin(`${system} ${operation}`, { kind: 'client', parent: 'active', attributes });
}

function endFailed(span: Span, error: unknown): void {
  span.fail(errorTypeOf(error));
  span.end();
}

/** Our reason, or the word with which a reply of Redis begins, e.g. "NOSCRIPT"; never what follows it. */
function errorTypeOf(error: unknown): string {
  if (error instanceof MeshError) return error.reason;
  if (!(error instanceof Error)) return 'unknown';
  return /^[A-Z]+(?= )/.exec(error.message)?.[0] ?? error.name;
}
