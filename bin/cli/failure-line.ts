import { printable } from '../../services/shared/observability/printable.ts';

/** How a command ends that could not do what it was asked, and what it says. */
export interface Failure {
  readonly exitCode: number;
  /** A stable word: the reason of `mesh.errors.v1`, "UNREACHABLE", "USAGE" or "FAILED". */
  readonly reason: string;
  readonly message: string;
  /** What to do next. */
  readonly hint?: string | undefined;
}

/** What stands on standard error: words for a person, or for a program the one shape that docs/cli.md documents. */
export function failureLine({ exitCode, reason, message, hint }: Failure, isJson: boolean): string {
  if (isJson) return `${JSON.stringify({ error: { reason, message, ...(hint ? { hint } : {}), exitCode } })}\n`;
  return `inference-mesh: ${printable(message)}\n${hint ? `${hint}\n` : ''}`;
}
