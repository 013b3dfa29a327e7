import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { GUARD_DESCRIPTOR, GUARD_SHELL, guardArguments } from './guard.ts';
import { MARK_VARIABLE, newMark } from './process-table.ts';

/** Variables of the mesh's own environment that an engine gets; nothing else, above all no key or token. */
const INHERITED_VARIABLES = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'CUDA_VISIBLE_DEVICES', 'LD_LIBRARY_PATH'];

/** How long a guard may take to do its work, in milliseconds. */
const GUARD_PATIENCE_MS = 2_000;

/** What to run. */
export interface SpawnOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** The program's own variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Reads one variable of the environment of the mesh. */
  readonly environmentVariable: (name: string) => string | undefined;
  readonly onStdout: (piece: string) => void;
  readonly onStderr: (piece: string) => void;
  /** The value of MESH_ENGINE_MARK, from `newMark`. Unset: a new one. */
  readonly mark?: string | undefined;
}

/** How a process ended. */
export interface ProcessExit {
  /** Unset: by a signal, or it could not be started. */
  readonly code?: number | undefined;
  readonly signal?: NodeJS.Signals | undefined;
  /** Why it could not be started. */
  readonly error?: Error;
}

/** A program that runs in a session and process group of its own, under a guard. */
export interface GuardedProcess {
  /** 0: it could not be started. */
  readonly processId: number;
  /** The value of MESH_ENGINE_MARK in the environment of every process of this start, 32 hexadecimal digits. */
  readonly mark: string;
  /** Resolves when the program itself has ended; its children may still run. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Resolves when its output has been read to the end, which is when nobody holds it open any more. Never rejects. */
  readonly outputEnded: Promise<void>;
  /** Signals the whole group. Does nothing once the guard is gone. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void;
  /** Kills what is left of the group and waits until it is gone. */
  sweep(): Promise<void>;
}

/** Starts a program under a guard: if this process ends, in whatever way, the program and its children are killed. */
export function spawnGuarded(options: SpawnOptions): GuardedProcess {
  const mark = options.mark ?? newMark();
  const child = spawn(GUARD_SHELL, guardArguments(options.program, options.args), {
    detached: true,
    env: { ...scrubbedEnvironment(options), [MARK_VARIABLE]: mark },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  child.stdout?.setEncoding('utf8').on('data', options.onStdout);
  child.stderr?.setEncoding('utf8').on('data', options.onStderr);
  const guard = child.stdio[GUARD_DESCRIPTOR] as Socket | undefined;
  const guardGone = guard ? ended(guard) : Promise.resolve();
  let guarded = true;
  let sweeping = false;
  const signal = (name: 'SIGTERM' | 'SIGKILL'): void => {
    if (!guarded || child.pid === undefined) return;
    try {
      process.kill(-child.pid, name);
    } catch (error) {
      // ESRCH: nobody is left, which is what a signal is for.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  // Without its guard a group could outlive us, and its number could become another's: end it now.
  void guardGone.then(() => {
    if (!sweeping) signal('SIGKILL');
    guarded = false;
  });
  return {
    processId: child.pid ?? 0,
    mark,
    exited: exitOf(child),
    outputEnded: outputEndOf(child),
    signal,
    async sweep() {
      sweeping = true;
      guard?.end();
      // A guard that was stopped (SIGSTOP) does not see the end of its pipe; it is in the group itself.
      const late = setTimeout(() => signal('SIGKILL'), GUARD_PATIENCE_MS);
      await guardGone;
      clearTimeout(late);
    },
  };
}

function scrubbedEnvironment(
  options: Pick<SpawnOptions, 'environment' | 'environmentVariable'>,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of INHERITED_VARIABLES) {
    const value = options.environmentVariable(name);
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...options.environment };
}

function exitOf(child: ChildProcess): Promise<ProcessExit> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ error }));
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  });
}

async function outputEndOf({ stdout, stderr }: ChildProcess): Promise<void> {
  const ends = [stdout, stderr].map(
    (stream) => stream && new Promise<void>((resolve) => stream.once('close', resolve)),
  );
  await Promise.all(ends);
}

/** Resolves when the other end of a socket is closed by everybody who held it. */
function ended(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    // A reset is an end like any other; 'close' follows.
    socket.on('error', () => {});
    socket.once('close', () => resolve());
    socket.resume();
  });
}

/** More than any answer of a program that is asked something. */
const MAX_ANSWER_BYTES = 4 << 20;

/** What a program answered. */
export interface ProgramAnswer {
  /** Unset: it could not be started, was ended by a signal, or did not end in time. */
  readonly code?: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Why there is no code. `code` "ENOENT": there is no such program. */
  readonly error?: NodeJS.ErrnoException | undefined;
}

/**
 * Runs a short program to its end and returns what it wrote. It gets the few variables that engines get.
 * After `timeoutMs` it is killed and no longer waited for: one that hangs in a driver cannot even be killed. Never rejects.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  options: { readonly timeoutMs: number } & Pick<SpawnOptions, 'environmentVariable'>,
): Promise<ProgramAnswer> {
  const { promise, resolve } = Promise.withResolvers<ProgramAnswer>();
  const env = scrubbedEnvironment({ ...options, environment: { LC_ALL: 'C' } });
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const written = { stdout: '', stderr: '' };
  const giveUp = (message: string): void => {
    child.kill('SIGKILL');
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
    resolve({ ...written, error: new Error(message) });
  };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (piece: string) => {
      written[name] += piece;
      if (written[name].length > MAX_ANSWER_BYTES) giveUp(`it wrote more than ${MAX_ANSWER_BYTES} bytes`);
    });
  }
  const late = setTimeout(giveUp, options.timeoutMs, `it did not end within ${options.timeoutMs} ms`);
  child.once('error', (error) => resolve({ ...written, error }));
  child.once('close', (code, signal) => {
    resolve({ ...written, code: code ?? undefined, ...(signal && { error: new Error(`it was ended by ${signal}`) }) });
  });
  return promise.finally(() => clearTimeout(late));
}
