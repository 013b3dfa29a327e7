import type { Command } from 'commander';
import type { Host } from './host.ts';
import { type GlobalOptions, Session } from './session.ts';

/** What a command does. Returns how it ends; nothing: well. */
export type Work<Options> = (
  session: Session,
  args: string[],
  options: Options & GlobalOptions,
) => Promise<number | undefined> | Promise<void>;

/** What command families are declared with. */
export interface Commands {
  readonly host: Host;
  /** A command's action. */
  act<Options>(work: Work<Options>): (this: Command) => Promise<void>;
}

/** How the command that ran wants the process to end. */
export class Outcome {
  exitCode = 0;
  session: Session | undefined;
}

/** Binds actions to the process. */
export function createCommands(host: Host, outcome: Outcome): Commands {
  return {
    host,
    act: (work) =>
      async function act(this: Command) {
        const options = this.optsWithGlobals();
        const session = new Session(host, options);
        outcome.session = session;
        outcome.exitCode = (await work(session, this.args, options as never)) ?? 0;
      },
  };
}

/** The examples of a command, for the end of its help. */
export function examples(...lines: readonly (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const shown = lines.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}`.trimEnd());
  return ['', 'Examples:', ...shown, ''].join('\n');
}
