import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A process of the benchmark. */
export interface Child {
  readonly pid: number;
  /** Ends it with SIGTERM, after 10 s with SIGKILL, and waits; gives the exit code, null after a signal. */
  stop(): Promise<number | null>;
  /** Throws with the last of its output when it has ended by itself. */
  assertRunning(): void;
}

export interface ChildOptions {
  /** CPU that it and its descendants are bound to; unset: any. */
  readonly core?: number;
  readonly cwd: string;
  readonly environment: Record<string, string>;
}

const STOP_TIMEOUT_MS = 10_000;
const KEPT_OUTPUT_CHARS = 4_000;
const running = new Set<Child>();

/** Starts a command and keeps the end of its output for error messages. */
export function startChild(command: readonly string[], options: ChildOptions): Child {
  const pinned = options.core === undefined ? command : ['taskset', '-c', String(options.core), ...command];
  const [file, ...args] = pinned;
  if (file === undefined) throw new Error('no command');
  const child = spawn(file, args, { cwd: options.cwd, env: options.environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (data: Buffer) => {
    output = (output + data).slice(-KEPT_OUTPUT_CHARS);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('error', (error) => keep(Buffer.from(`${error.message}\n`)));
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start ${file}`);
  const handle: Child = {
    pid,
    stop: async () => {
      running.delete(handle);
      return endProcess(child);
    },
    assertRunning: () => {
      if (hasEnded(child)) throw new Error(`${command.join(' ')} ended with ${child.exitCode}:\n${output}`);
    },
  };
  running.add(handle);
  return handle;
}

/** Ends whatever still runs. */
export async function stopAllChildren(): Promise<void> {
  await Promise.all([...running].map((child) => child.stop()));
}

/** Waits until `ready` is true; throws when the process ends first or after the deadline. */
export async function untilReady(child: Child, ready: () => Promise<boolean>, timeoutMs = 180_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ready())) {
    child.assertRunning();
    if (performance.now() > deadline) throw new Error(`process ${child.pid} not ready within ${timeoutMs} ms`);
    await delay(10);
  }
}

/** The status of a GET, or undefined while nobody listens. */
export async function httpStatus(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return undefined; // refused or reset: the caller polls and has a deadline
  }
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function endProcess(child: ChildProcess): Promise<number | null> {
  if (!hasEnded(child)) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }
  return child.exitCode;
}
