// The life of a fake engine's process: its log while it starts, failed starts, signals, what it leaves behind.
import { spawn } from 'node:child_process';
import type { Server } from 'node:http';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import type { FakeState } from './engine-state.ts';
import type { FailedStart, FaultScript } from './fault-script.ts';
import { recordStart, recordSurvivor } from './record.ts';

/** What an engine prints and how it ends when a start fails. */
export interface FailedStartText {
  readonly lines: readonly string[];
  readonly exitCode: number;
}

/** What one fake says of its life. */
export interface FakeLife {
  readonly script: FaultScript;
  /** What the real one logs while it loads. */
  readonly startLines: readonly string[];
  /** What the real one logs when it answers. */
  readonly readyLines: readonly string[];
  /** Where the real one logs. */
  readonly log: 'stdout' | 'stderr';
  readonly failures: Readonly<Record<FailedStart, FailedStartText>>;
  /** Called when it has loaded, before it answers. */
  readonly beforeReady?: () => void;
  /** Starts to answer. */
  readonly listen: () => Promise<void>;
  /**
   * Told to end, it works no more but waits until its last client has left, as uvicorn and llama-server do. Unset: it ends
   * at once.
   */
  readonly waitsForClients?: { readonly server: Server; readonly state: FakeState };
}

/** Runs the fake until a signal ends it. */
export async function live(life: FakeLife): Promise<void> {
  const { script } = life;
  recordStart();
  obeySignals(life);
  if (script.survivor) leaveSurvivor();
  const lines = script.startLines ?? life.startLines;
  for (const line of lines) {
    await delay((script.startMs ?? 0) / Math.max(lines.length, 1));
    print(life, line);
  }
  if (script.failStart) await fail(life, life.failures[script.failStart]);
  if (script.invalidUtf8) process[life.log].write(Buffer.from('a line of bytes: \xff\xfe\n', 'latin1'));
  life.beforeReady?.();
  await life.listen();
  for (const line of life.readyLines) print(life, line);
  if (script.stderrFloodBytes) await flood(script.stderrFloodBytes);
}

function obeySignals({ script, waitsForClients }: FakeLife): void {
  const end = (): void => {
    if (script.ignoreTerm) return;
    if (!waitsForClients) process.exit(0);
    waitsForClients.state.hung = true;
    // Also called when it does not listen yet.
    waitsForClients.server.close(() => process.exit(0));
  };
  process.on('SIGTERM', end).on('SIGINT', end);
}

/** As engine workers do that are started in a session of their own; it holds our output open too. */
function leaveSurvivor(): void {
  const script = "trap '' TERM INT HUP; while :; do sleep 3600; done";
  const child = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
  recordSurvivor(child.pid ?? 0);
  child.unref();
}

async function fail(life: FakeLife, { lines, exitCode }: FailedStartText): Promise<never> {
  for (const line of lines) await new Promise<void>((done) => process[life.log].write(`${line}\n`, () => done()));
  process.exit(exitCode);
}

async function flood(bytes: number): Promise<void> {
  const lines = Buffer.from(`${'x'.repeat(1_023)}\n`.repeat(16));
  for (let written = 0; written < bytes; written += lines.length) {
    if (!process.stderr.write(lines)) await new Promise((resolve) => process.stderr.once('drain', resolve));
    // Writes to a pipe wait for its reader: without a turn in between it would answer nobody.
    await nextTurn();
  }
}

function print({ log }: FakeLife, line: string): void {
  process[log].write(`${line}\n`);
}
