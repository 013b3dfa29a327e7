import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const directory = join(import.meta.dirname, '..', 'workloads');

const workloadSchema = z.strictObject({
  /**
   * Which table it goes to: `unary` costs per request, `first-token` latency, `stream` costs per token, `idle` memory, `open-unary` and
   * `open-stream` the same at a rate that does not wait for answers.
   */
  kind: z.enum(['unary', 'first-token', 'stream', 'idle', 'open-unary', 'open-stream']),
  description: z.string(),
  /** Connections; of an open loop the most that may be open at a time. */
  concurrency: z.int().positive(),
  /** An open loop: requests come at random times, so many per second on average. Unset: each connection waits for its answers. */
  requestsPerSecond: z.number().positive().optional(),
  /** A figure that needs no more, e.g. because repetitions change little in it. */
  repetitionsAtMost: z.int().positive().optional(),
  /** How long new requests are sent. */
  seconds: z.number().positive(),
  /** Ends the sending earlier; unset: as many as fit. */
  requests: z.int().positive().optional(),
  /** The connections start spread over this time. */
  rampMs: z.int().nonnegative().default(0),
  /** Closes the connection in the middle of each stream, after as many tokens. */
  leaveAfterTokens: z.int().positive().optional(),
  /** The part of the run whose tokens' transit counts. Unset: all of it. */
  countMs: z.strictObject({ from: z.int().nonnegative(), until: z.int().positive() }).optional(),
  body: z.looseObject({ model: z.string(), max_tokens: z.int().positive(), stream: z.boolean().optional() }),
});

/** One kind of load: its shape and the chat request that every connection repeats. */
export type Workload = z.infer<typeof workloadSchema> & { readonly name: string };

/** Reads `bench/workloads/<name>.json`; throws on an unknown field or a wrong type. */
export function readWorkload(name: string): Workload {
  return { name, ...workloadSchema.parse(JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8'))) };
}
