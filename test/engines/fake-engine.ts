// Starts fake-openai.ts as a child process, for tests.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { FakeScript } from './fake-openai.ts';

/** What the fake engine says about itself. */
export interface FakeCounts {
  /** Requests in flight, by their sockets. */
  readonly running: number;
  /** Requests whose client left. */
  readonly aborted: number;
  /** Requests answered to the end. */
  readonly served: number;
  /** Questions for its health or its models. */
  readonly probes: number;
  /** Answers whose reader does not take what is written. */
  readonly blocked: number;
  /** The last generation that was asked for. */
  readonly last?: { path: string; headers: Record<string, string>; body: Record<string, unknown> };
}

/** A running fake engine. */
export interface FakeEngine {
  readonly port: number;
  /** With "/v1". */
  readonly baseUrl: string;
  readonly child: ChildProcess;
  /** What it does from now on. */
  script(script: FakeScript): Promise<void>;
  /** Lets go on what waits at `holdAtToken`. */
  go(): Promise<void>;
  counts(): Promise<FakeCounts>;
  /** Kills it and waits until it is gone. */
  stop(): Promise<void>;
}

/** Starts a fake engine on a free port, or on `port`. */
export async function startFakeEngine(script: FakeScript = {}, port = 0): Promise<FakeEngine> {
  const program = join(import.meta.dirname, 'fake-openai.ts');
  const args = ['--disable-warning=ExperimentalWarning', program, JSON.stringify(script), '--port', String(port)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, 'line')) as [string];
  const listening = JSON.parse(line).port as number;
  const origin = `http://127.0.0.1:${listening}`;
  return {
    port: listening,
    baseUrl: `${origin}/v1`,
    child,
    async script(next) {
      await fetch(`${origin}/script`, { method: 'POST', body: JSON.stringify(next) });
    },
    async go() {
      await fetch(`${origin}/go`, { method: 'POST' });
    },
    async counts() {
      return (await (await fetch(`${origin}/running`)).json()) as FakeCounts;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
