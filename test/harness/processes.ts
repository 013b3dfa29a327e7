import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { lookForSecrets } from './secrets-in-logs.ts';

/** A program that a test started, with all that it printed. */
export interface RunningProgram {
  readonly child: ChildProcess;
  /** Everything on both outputs so far. */
  output(): string;
  /** Sends the signal and waits for the end; returns the exit code, or the signal's name. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

/** Compiled code is kept, as bin/node.sh does: a process of the mesh starts for two thirds of the CPU time. */
const { PATH = '', HOME = '', NODE_COMPILE_CACHE } = process.env;
const INHERITED = { PATH, HOME, ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }) };

/** Starts a program with nothing in its environment but what is given, a search path, a home and where compiled code is kept. */
export function startProgram(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
  cwd?: string,
): RunningProgram {
  const child = spawn(program, [...args], {
    env: { ...INHERITED, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  // A test that dies must not leave its programs behind.
  const reap = (): void => void child.kill('SIGKILL');
  process.once('exit', reap);
  const ended = once(child, 'exit').finally(() => process.removeListener('exit', reap)) as Promise<
    [number | null, NodeJS.Signals | null]
  >;
  return {
    child,
    output: () => output,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const [code, endedBy] = await ended;
      lookForSecrets(output, env, cwd);
      return code ?? endedBy ?? 'unknown';
    },
  };
}

/** Generous: six cold processes share two cores with another test. */
const PATIENCE_MS = 60_000;

/** Waits until `condition` gives a value that is not undefined or false; fails with `what` and the last error otherwise. */
export async function eventually<T>(
  what: string,
  condition: () => Promise<T> | T,
  timeoutMs = PATIENCE_MS,
): Promise<NonNullable<T>> {
  const beganAtMs = performance.now();
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== null && value !== false) return value;
    } catch (error) {
      lastError = error;
    }
    const waitedMs = performance.now() - beganAtMs;
    if (waitedMs > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: lastError });
    // What takes long is not asked for all the time: that would take the CPU from what it waits for.
    await delay(waitedMs < 1_000 ? 10 : 50);
  }
}

/** Ports per test worker, below those that the system hands out by itself, so that nobody else takes one meanwhile. */
const PORTS_PER_WORKER = 3_000;
const FIRST_PORT = 20_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % 4) * PORTS_PER_WORKER;
let portOffset = Math.floor(Math.random() * PORTS_PER_WORKER);

/** A port that is free now and that no other test worker picks. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS_PER_WORKER; tries += 1) {
    portOffset = (portOffset + 1) % PORTS_PER_WORKER;
    const port = FIRST_PORT + portOffset;
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port from ${FIRST_PORT} to ${FIRST_PORT + PORTS_PER_WORKER}`);
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  const listening = once(server, 'listening').then(
    () => true,
    () => false,
  );
  server.listen(port, '127.0.0.1');
  if (!(await listening)) return false;
  server.close();
  await once(server, 'close');
  return true;
}
