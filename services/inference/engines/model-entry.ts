import { z } from 'zod';
import { HUB_REFERENCE_FORM, isHubReference, parseHubReference } from '../weights/reference.ts';

const common = {
  /** The engine's name: what requests name, unique on the node. */
  name: z.string().min(1).max(256),
  /** The longest sequence, in tokens. Unset: what the engine says. */
  max_model_len: z.int().min(1).optional(),
  /** How many requests run at a time. Unset: what the engine says, else no limit of ours. */
  max_concurrency: z.int().min(1).max(65_536).optional(),
  /** Whether the mesh is ready only with it. */
  required: z.boolean().default(false),
};

/** An address is shown and logged, so nothing in it may be secret. The problem does not quote it. */
function problemOf(baseUrl: string): string | undefined {
  const { username, password } = new URL(baseUrl);
  if (username || password) return 'must not hold a user or password; name the variable with the key in api_key_env';
  if (/[?#]/.test(baseUrl)) return 'must not hold a query or fragment; name the variable with the key in api_key_env';
  return undefined;
}

/** A server elsewhere that speaks the OpenAI API. */
const openAiEntrySchema = z.strictObject({
  ...common,
  engine: z.literal('openai'),
  /** Its address up to and including the version, e.g. "http://10.0.0.7:8000/v1". */
  base_url: z.url({ protocol: /^https?$/, abort: true }).superRefine((baseUrl, context) => {
    const problem = problemOf(baseUrl);
    if (problem) context.addIssue({ code: 'custom', message: problem });
  }),
  /** The model's name there. Unset: the first that the server lists. */
  model: z.string().min(1).optional(),
  /** Name of the environment variable that holds the server's key. Unset: no key. */
  api_key_env: z.string().min(1).optional(),
});

/** llama.cpp, embedded: a child process of ours. */
const llamaCppEntrySchema = z.strictObject({
  ...common,
  engine: z.literal('llama.cpp'),
  /** Path of a GGUF file, or a reference to one on a Hugging Face hub. */
  model: z
    .string()
    .min(1)
    .refine(
      (model) => !isHubReference(model) || parseHubReference(model) !== undefined,
      `expected ${HUB_REFERENCE_FORM}`,
    ),
  /** Environment variables for the process, besides the few that it gets anyway. */
  env: z.record(z.string().min(1), z.string()).default({}),
  /** Arguments appended to its command line as they are. */
  extra_args: z.array(z.string()).default([]),
});

const LATER_KINDS = ['vllm', 'tgi', 'ollama', 'transformers', 'llama-server'];
const LATER_FIELDS = [
  'devices',
  'dtype',
  'quantization',
  'tensor_parallel_size',
  'gpu_memory_utilization',
  'load',
  'ttl_seconds',
];

/**
 * One entry of `inference.models`. What is documented but does not work in this version is refused as such rather than
 * ignored or called unknown.
 */
export const modelEntrySchema = z
  .looseObject({ engine: z.string() })
  .superRefine((entry, context) => {
    if (LATER_KINDS.includes(entry.engine)) {
      const message = `the engine '${entry.engine}' is not available yet in this version`;
      context.addIssue({ code: 'custom', path: ['engine'], message });
    }
    for (const field of LATER_FIELDS.filter((name) => name in entry)) {
      context.addIssue({ code: 'custom', path: [field], message: `'${field}' is not available yet in this version` });
    }
  })
  .pipe(z.discriminatedUnion('engine', [openAiEntrySchema, llamaCppEntrySchema]));

/** A validated entry of `inference.models`. */
export type ModelEntry = z.output<typeof modelEntrySchema>;

/** A validated entry for a server elsewhere. */
export type OpenAiEntry = z.output<typeof openAiEntrySchema>;

/** A validated entry for the embedded engine. */
export type LlamaCppEntry = z.output<typeof llamaCppEntrySchema>;
