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
  transitMaxUs: z.number(),
  /** Tokens whose transit counts, and those of them that took longer than 20 ms. */
  countedTokens: z.number(),
  lateTokens: z.number(),
  /** Of the clock that engine and load client share. */
  startedAtUs: z.number(),
  /** The streams that the client left in their middle: number and time. */
  left: z.array(z.tuple([z.number(), z.number()])),
});

/** What the load client saw in one run; `requests` are the good ones. */
export type LoadFigures = z.infer<typeof loadFigures>;

export interface LoadTarget {
  readonly port: number;
  /** Sent as `Authorization: Bearer`. */
  readonly token: string;
  /** What else it wants to be told. */
  readonly headers?: Readonly<Record<string, string>>;
  /** API keys that requests have in turn, instead of `token`. */
  readonly keys?: readonly string[];
  /** The load client that speaks its protocol. Unset: the usual one, of HTTP/1.1. */
  readonly loadProgram?: string;
  /** A workload's chat request as its protocol has it. Unset: JSON. */
  readonly encode?: (body: Workload['body']) => Uint8Array;
}

function optionsOf(
  target: LoadTarget,
  workload: Workload,
  scratch: string,
): Record<string, string | number | undefined> {
  const file = (name: string, data: string | Uint8Array): string => {
    const path = join(scratch, name);
    writeFileSync(path, data, { mode: 0o600 });
    return path;
  };
  const key = target.keys === undefined ? { authorization: `Bearer ${target.token}` } : {};
  const headers = Object.entries({ ...key, ...target.headers }).map(([name, value]) => `${name}: ${value}\n`);
  const isWhole = workload.body.stream && workload.leaveAfterTokens === undefined;
  return {
    port: target.port,
    concurrency: workload.concurrency,
    seconds: workload.seconds,
    requests: workload.requests,
    rate: workload.requestsPerSecond,
    'ramp-ms': workload.rampMs,
    'leave-after-tokens': workload.leaveAfterTokens,
    'count-from-ms': workload.countMs?.from,
    'count-until-ms': workload.countMs?.until,
    'tokens-per-stream': isWhole ? workload.body.max_tokens : undefined,
    body: file(`${workload.name}.body`, target.encode?.(workload.body) ?? JSON.stringify(workload.body)),
    headers: file(`${target.port}.headers`, headers.join('')),
    keys: target.keys && file(`${target.port}.keys`, target.keys.join('\n')),
  };
}

/** Runs the load client once, bound to `core`; rejects when `signal` aborts. The key travels in a file in `scratch` that only the owner can read. */
export async function runLoad(
  program: string,
  target: LoadTarget,
  workload: Workload,
  { core, scratch, signal }: { core: number; scratch: string; signal: AbortSignal },
): Promise<LoadFigures> {
  const args = Object.entries(optionsOf(target, workload, scratch)).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, String(value)],
  );
  const { stdout, stderr } = await run('taskset', ['-c', String(core), target.loadProgram ?? program, ...args], {
    timeout: 120_000,
    signal,
  });
  if (stderr) process.stderr.write(`${workload.name}: ${stderr}`);
  return loadFigures.parse(JSON.parse(stdout));
}
