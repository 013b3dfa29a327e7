import { z } from 'zod';
import { queueConfigSchema } from './queue/config.ts';

const seconds = (defaultSeconds: number) => z.number().positive().max(86_400).default(defaultSeconds);

/** The section `router` of the configuration file. */
export const routerConfigSchema = z.strictObject({
  /** Time limits of one generation, in seconds. */
  timeout_seconds: z
    .strictObject({
      /** From admission to the last token. */
      total: seconds(300),
      /** From admission to the first token. */
      first_token: seconds(120),
      /** Between two groups of tokens, while the reader reads. */
      between_tokens: seconds(60),
    })
    .prefault({}),
  /** How long a client may keep its connection open without reading before its stream is cut, in seconds. */
  idle_write_seconds: seconds(30),
  /**
   * How long quota keeps what a generation holds when its router is not heard of any more, in seconds. Reports are sent once
   * a second; a lease that lives shorter than several of them would end under generations that run.
   */
  lease_seconds: z.number().min(5).max(3_600).default(60),
  /** Requests for a model whose engines are all full. */
  queue: queueConfigSchema.prefault({}),
  /** A request whose engine fails before its first token. */
  retry: z
    .strictObject({
      /** At how many engines it is tried in all. 1: no retries. */
      max_attempts: z.number().int().min(1).max(16).default(3),
      /** How much load retries may add, in percent of the requests. 0: no retries. */
      budget_percent: z.number().min(0).max(100).default(10),
    })
    .prefault({}),
  /** A stream whose engine breaks off, hangs or drains. */
  migration: z
    .strictObject({
      /** Whether another engine of the model goes on with it. A request may refuse that with `resume`. */
      enabled: z.boolean().default(true),
      /** How many engines may go on with one stream, one after the other. */
      max_attempts: z.number().int().min(1).max(16).default(3),
    })
    .prefault({}),
  /** Other names of models: alias → configured name or model id. */
  aliases: z.record(z.string().min(1), z.string().min(1)).default({}),
  /** Models to take when no engine of one can take a request: name, alias or model id → the same of others, in order. */
  fallbacks: z.record(z.string().min(1), z.array(z.string().min(1)).min(1).max(16)).default({}),
  /** How much an engine bears beside others of its model: engine name, `<node>/<engine>` or model id → weight. 1 unless told. */
  weights: z.record(z.string().min(1), z.number().min(0.01).max(100)).default({}),
  /**
   * How many times the load of the best that was drawn an engine may have and still get what continues a conversation that it
   * computed before. 0: such engines count as any other.
   */
  prefix_affinity_bound: z.number().min(0).max(1_000).default(2),
  /** Configured name or model id for requests without a model. Unset: the first configured model. */
  default_model: z.string().min(1).optional(),
  /** The same for questions that are answered in SQL, as of `POST /text2sql`. Unset: the default model. */
  text2sql: z.string().min(1).optional(),
});

/** The validated section `router`. */
export type RouterConfig = z.output<typeof routerConfigSchema>;
