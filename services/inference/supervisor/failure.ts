import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Failure } from './engine-status.ts';
import type { LogLines } from './log-lines.ts';
import type { ProcessExit } from './spawn.ts';

/** How a life ended that nobody asked to end. */
export type Ending =
  | { readonly kind: 'exit'; readonly exit: ProcessExit }
  | { readonly kind: 'stalled'; readonly problem: string };

/** The shell's codes for a program that is not there or cannot be run. */
const NOT_RUNNABLE_CODES = [126, 127];

/** How many lines are kept as evidence. */
const EVIDENCE_LINES = 20;

/** Why an engine failed, with the lines that show it. */
export function failureOf(ending: Ending, lines: LogLines, attempts: number): Failure {
  const evidence = lines.tail(EVIDENCE_LINES).map((line) => line.text);
  if (ending.kind === 'stalled') {
    const hint = `Loading stood still (${ending.problem}). Check the disk and the model file.`;
    return { cause: FailureCause.START_STALLED, evidence, hint, attempts };
  }
  const { code, signal, error } = ending.exit;
  if (error || (code !== undefined && NOT_RUNNABLE_CODES.includes(code))) {
    const hint = 'The engine could not be started. Install its program or correct its path.';
    return { cause: FailureCause.EXECUTABLE_MISSING, evidence, hint, attempts };
  }
  const how = signal === undefined ? `code ${code}` : signal;
  const hint = `The process ended by itself (${how}). Its last lines say why.`;
  return { cause: FailureCause.EXITED_UNASKED, evidence, hint, attempts };
}
