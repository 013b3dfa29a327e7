import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const directory = join(import.meta.dirname, '..', 'workloads');

const workloadSchema = z.strictObject({
  /** Which table it goes to: `unary` costs per request, `first-token` latency, `stream` costs per token, `idle` memory. */
  kind: z.enum(['unary', 'first-token', 'stream', 'idle']),
  description: z.string(),
  concurrency: z.int().positive(),
  /** How long new requests are sent. */
  seconds: z.number().positive(),
  /** Ends the sending earlier; unset: as many as fit. */
  requests: z.int().positive().optional(),
  /** The connections start spread over this time. */
  rampMs: z.int().nonnegative().default(0),
  body: z.looseObject({ model: z.string(), max_tokens: z.int().positive(), stream: z.boolean().optional() }),
});

/** One kind of load: its shape and the chat request that every connection repeats. */
export type Workload = z.infer<typeof workloadSchema> & { readonly name: string };

/** Reads `bench/workloads/<name>.json`; throws on an unknown field or a wrong type. */
export function readWorkload(name: string): Workload {
  return { name, ...workloadSchema.parse(JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8'))) };
}

export function workloadNames(): string[] {
  return readdirSync(directory).map((file) => file.replace(/\.json$/, ''));
}
