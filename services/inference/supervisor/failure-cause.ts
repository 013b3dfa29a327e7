import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FailureSignature } from '../engines/engine.ts';
import type { StartRefusedError } from '../engines/start-refused.ts';
import type { Failure } from './engine-status.ts';
import { GENERAL_SIGNATURES } from './failure-signatures.ts';
import type { EngineLogLine } from './log-lines.ts';
import type { ProcessExit } from './spawn.ts';

/** How a life ended that nobody asked to end. */
export type Ending =
  | { readonly kind: 'exit'; readonly exit: ProcessExit }
  /** What was not there, known before a process ran. */
  | { readonly kind: 'not-started'; readonly cause: FailureCause; readonly problem: string }
  /** It said itself that waiting cannot help. */
  | { readonly kind: 'refused'; readonly cause: FailureCause; readonly problem: string; readonly hint: string }
  | { readonly kind: 'stalled'; readonly problem: string }
  | { readonly kind: 'hung'; readonly stillMs: number }
  | { readonly kind: 'wrong-model'; readonly expected: string; readonly found: string }
  /** It was ready and could not make a single token. */
  | { readonly kind: 'warm-up'; readonly problem: string }
  /** It was sent to sleep or woken, and was not. */
  | { readonly kind: 'sleep'; readonly problem: string }
  /** The driver no longer lists a device that it ran on. */
  | { readonly kind: 'device-lost'; readonly problem: string }
  /** Processes of it cannot be killed. */
  | { readonly kind: 'survived'; readonly problem: string };

/** The shell's codes for a program that is not there or cannot be run. */
const NOT_RUNNABLE_CODES = [126, 127];

/** How many lines are evidence at most. */
const EVIDENCE_LINES = 20;

/** Lines before and after the telling one that are shown with it; a root cause is told with its traceback above it. */
const LINES_BEFORE = 8;
const LINES_AFTER = 3;

/** Why signals end processes that nobody signalled, as far as there is a usual reason. */
const SIGNAL_REASONS: Readonly<Partial<Record<NodeJS.Signals, string>>> = {
  SIGKILL: 'The kernel does that when memory runs out (see its log).',
  SIGILL: 'Its program was built for another processor.',
  SIGABRT: 'A check in it failed; its last lines say which.',
  SIGSEGV: 'That is a defect of it or of a driver.',
  SIGBUS: 'A file that it had mapped was cut, or shared memory is too small (/dev/shm).',
};

/**
 * Why an engine failed. Pure.
 *
 * @param lines what it wrote in the phase in which it failed, oldest first; all that is kept, for the root cause is told
 *   by a child before the last line
 * @param signatures the engine's own, tried before the general ones
 */
export function failureOf(
  ending: Ending,
  lines: readonly EngineLogLine[],
  signatures: readonly FailureSignature[],
): Omit<Failure, 'attempts'> {
  const told = mayBeTold(ending) ? findSignature(lines, [...signatures, ...GENERAL_SIGNATURES]) : undefined;
  if (told) return told;
  const evidence = lines.slice(-EVIDENCE_LINES).map(({ text }) => text);
  return { ...untold(ending), evidence: ending.kind === 'refused' ? [...evidence, ending.problem] : evidence };
}

/** The ending of a start that was refused. */
export function refused({ failureCause, message, hint }: StartRefusedError): Ending {
  return { kind: 'refused', cause: failureCause, problem: message, hint };
}

/** Hung engines and wrong models are known by what they do; old lines would only mislead. */
function mayBeTold({ kind }: Ending): boolean {
  return kind === 'exit' || kind === 'stalled' || kind === 'warm-up' || kind === 'sleep';
}

function findSignature(
  lines: readonly EngineLogLine[],
  signatures: readonly FailureSignature[],
): Omit<Failure, 'attempts'> | undefined {
  for (const { pattern, cause, hint } of signatures) {
    const at = lines.findLastIndex(({ text }) => text.search(pattern) >= 0);
    if (at < 0) continue;
    const evidence = lines.slice(Math.max(0, at - LINES_BEFORE), at + 1 + LINES_AFTER).map(({ text }) => text);
    return { cause, hint, evidence };
  }
  return undefined;
}

function untold(ending: Ending): Pick<Failure, 'cause' | 'hint'> {
  switch (ending.kind) {
    case 'exit':
      return causeOfExit(ending.exit);
    case 'not-started':
      return { cause: ending.cause, hint: ending.problem };
    case 'refused':
      return { cause: ending.cause, hint: ending.hint };
    case 'stalled':
      return {
        cause: FailureCause.START_STALLED,
        hint: `Loading stood still (${ending.problem}). Check the disk and the model files; if it is only slow, raise start_timeout_seconds.`,
      };
    case 'hung':
      return {
        cause: FailureCause.HUNG,
        hint: `It made no progress for ${Math.round(ending.stillMs / 1_000)} s although it had work or was asked. Its last lines and the driver's log may say why.`,
      };
    case 'wrong-model':
      return {
        cause: FailureCause.WRONG_MODEL,
        hint: `It serves '${ending.found}', not '${ending.expected}'. Another server answers at its address, or extra_args name another model.`,
      };
    case 'warm-up':
      return {
        cause: FailureCause.UNSUPPORTED_MODEL,
        hint: `It loaded the model and could not make one token: ${ending.problem}`,
      };
    case 'sleep':
      return {
        cause: FailureCause.EXITED_UNASKED,
        hint: `It could not be sent to sleep or woken: ${ending.problem}. Leave sleep_mode out if that goes on.`,
      };
    case 'device-lost':
      return {
        cause: FailureCause.DEVICE_LOST,
        hint: `${ending.problem}. The kernel's log says more (Xid); it is started again where there is room.`,
      };
    case 'survived':
      return { cause: FailureCause.ORPHAN_FOUND, hint: ending.problem };
  }
}

function causeOfExit({ code, signal, error }: ProcessExit): Pick<Failure, 'cause' | 'hint'> {
  if (error || (code !== undefined && NOT_RUNNABLE_CODES.includes(code))) {
    return {
      cause: FailureCause.EXECUTABLE_MISSING,
      hint: 'The engine could not be started. Install its program or correct its path.',
    };
  }
  const reason = signal === undefined ? undefined : SIGNAL_REASONS[signal];
  return {
    cause: FailureCause.EXITED_UNASKED,
    hint: `The process ended by itself (${signal ?? `code ${code}`}). ${reason ?? 'Its last lines say why.'}`,
  };
}
