// A program in a real pseudo-terminal, and what a person would see in its window.
import { spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import { eventually } from './processes.ts';

/** The window of a terminal. */
export interface WindowSize {
  readonly columns: number;
  readonly rows: number;
}

/** A program in a window. */
export interface TerminalProgram {
  readonly processId: number;
  /** The lines of the window now, without the spaces at their ends. */
  screen(): Promise<string[]>;
  /** Everything that was written to it, escape sequences included. */
  raw(): string;
  /** Types. */
  type(text: string): void;
  resize(size: WindowSize): void;
  /** Waits until a line of the window matches; fails with the window. */
  sees(pattern: RegExp): Promise<void>;
  /** Waits until what was written since `from` (a length of `raw()`) matches. */
  wrote(pattern: RegExp, from?: number): Promise<void>;
  /** How it ended, when it has. */
  ended(): Promise<number>;
  /** Ends it if it has not ended. */
  close(): void;
}

/** What Ctrl-C and Ctrl-D are on the wire. */
export const CTRL_C = '\u0003';
export const CTRL_D = '\u0004';

/** The alternate screen, as programs ask for it and leave it. */
export const ALTERNATE_ON = '\u001b[?1049h';
export const ALTERNATE_OFF = '\u001b[?1049l';

/** Starts a program in a pseudo-terminal with nothing in its environment but what is given, a search path and a home. */
export function openTerminal(
  program: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: Record<string, string>; readonly size?: WindowSize },
): TerminalProgram {
  const { columns, rows } = options.size ?? { columns: 100, rows: 30 };
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE } = process.env;
  const cache = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };
  const env = { PATH, HOME, TERM: 'xterm-256color', LANG: 'C.UTF-8', ...cache, ...options.env };
  const pty = spawn(program, [...args], { cols: columns, rows, cwd: options.cwd, env, name: env.TERM });
  const window = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
  let raw = '';
  let exitCode: number | undefined;
  pty.onData((data) => {
    raw += data;
    window.write(data);
  });
  const reap = (): void => {
    if (exitCode === undefined) pty.kill('SIGKILL');
  };
  pty.onExit((end) => {
    process.removeListener('exit', reap);
    exitCode = end.signal ? 128 + end.signal : end.exitCode;
  });
  process.once('exit', reap);
  const screen = async (): Promise<string[]> => {
    // What was written is shown a turn later.
    await new Promise<void>((resolve) => window.write('', resolve));
    const { active } = window.buffer;
    return Array.from({ length: window.rows }, (_, row) => {
      const line = active.getLine(active.viewportY + row);
      return (line?.translateToString(true) ?? '').trimEnd();
    });
  };
  const orShow = async (what: string, condition: () => boolean | Promise<boolean>): Promise<void> => {
    try {
      await eventually(what, condition);
    } catch (error) {
      throw new Error(`${what}; the window:\n${(await screen()).join('\n')}`, { cause: error });
    }
  };
  return {
    processId: pty.pid,
    screen,
    raw: () => raw,
    type: (text) => pty.write(text),
    resize(size) {
      window.resize(size.columns, size.rows);
      pty.resize(size.columns, size.rows);
    },
    sees: (pattern) =>
      orShow(`the window shows ${pattern}`, async () => (await screen()).some((line) => pattern.test(line))),
    wrote: (pattern, from = 0) => orShow(`it writes ${pattern}`, () => pattern.test(raw.slice(from))),
    ended: async () => {
      await orShow('the program ends', () => exitCode !== undefined);
      return exitCode ?? -1;
    },
    close() {
      process.removeListener('exit', reap);
      reap();
      window.dispose();
    },
  };
}
