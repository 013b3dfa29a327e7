import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Workload } from './workloads.ts';

const run = promisify(execFile);

const loadFigures = z.strictObject({
  requests: z.number(),
  errors: z.number(),
  firstError: z.string(),
  seconds: z.number(),
  requestsPerSecond: z.number(),
  tokens: z.number(),
  tokensPerSecond: z.number(),
  reads: z.number(),
  bytes: z.number(),
  clientCpuSeconds: z.number(),
  latencyP50Us: z.number(),
  latencyP99Us: z.number(),
  firstTokenP50Us: z.number(),
  firstTokenP99Us: z.number(),
  transitP50Us: z.number(),
  transitP99Us: z.number(),
});

/** What the load client saw in one run; `requests` are the good ones. */
export type LoadFigures = z.infer<typeof loadFigures>;

export interface LoadTarget {
  readonly port: number;
  /** Sent as `Authorization: Bearer`. */
  readonly token: string;
  /** What else it wants to be told. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The load client that speaks its protocol. Unset: the usual one, of HTTP/1.1. */
  readonly loadProgram?: string;
  /** A workload's chat request as its protocol has it. Unset: JSON. */
  readonly encode?: (body: Workload['body']) => Uint8Array;
}

/** Runs the load client once, bound to `core`; rejects when `signal` aborts. The key travels in a file in `scratch` that only the owner can read. */
export async function runLoad(
  program: string,
  target: LoadTarget,
  workload: Workload,
  { core, scratch, signal }: { core: number; scratch: string; signal: AbortSignal },
): Promise<LoadFigures> {
  const body = join(scratch, `${workload.name}.body.json`);
  const headers = join(scratch, `${target.port}.headers`);
  writeFileSync(body, target.encode?.(workload.body) ?? JSON.stringify(workload.body));
  const lines = Object.entries({ authorization: `Bearer ${target.token}`, ...target.headers });
  writeFileSync(headers, lines.map(([name, value]) => `${name}: ${value}\n`).join(''), { mode: 0o600 });
  const options = {
    port: target.port,
    concurrency: workload.concurrency,
    seconds: workload.seconds,
    'ramp-ms': workload.rampMs,
    body,
    headers,
    ...(workload.requests !== undefined && { requests: workload.requests }),
    ...(workload.body.stream && { 'tokens-per-stream': workload.body.max_tokens }),
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { stdout, stderr } = await run('taskset', ['-c', String(core), target.loadProgram ?? program, ...args], {
    timeout: 120_000,
    signal,
  });
  if (stderr) process.stderr.write(`${workload.name}: ${stderr}`);
  return loadFigures.parse(JSON.parse(stdout));
}
