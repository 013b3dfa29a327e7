/** How a command ends; docs/cli.md tells the same. Those above 63 are named by sysexits.h, those above 128 by shells. */
export const EXIT = {
  ok: 0,
  /** It was understood and could not be done, or what was looked at is not as it should be. */
  failed: 1,
  /** The command line is not understood; nothing was done. */
  usage: 2,
  /** `run`: the answer ended before the model did. */
  cutShort: 3,
  /** Nothing answers at the address, or no engine serves the model. */
  unavailable: 69,
  /** Not now: a limit is reached, a line is full, a deadline passed. */
  tryAgain: 75,
  /** No key, one that does not count, or one that may not. */
  denied: 77,
  /** `start`, `doctor`, `hash`, `backup`: the configuration, a secret to hash or a place of a copy is wrong. */
  configuration: 78,
  interrupted: 130,
  /** Whoever read the output has left. */
  outputClosed: 141,
  terminated: 143,
} as const;

/** What a command could not do, in words for a person. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;
  /** What to do next. */
  readonly hint: string | undefined;

  constructor(message: string, exitCode: number = EXIT.failed, hint?: string) {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** A value of the command line that is not understood; `what` names it, e.g. "--since". Nothing that was typed is repeated. */
export function usageError(what: string, problem: string): CliError {
  return new CliError(`${what}: ${problem}`, EXIT.usage);
}
