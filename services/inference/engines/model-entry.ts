import { z } from 'zod';
import { ADDRESS_FORM, isAddress, parseAddress } from '../weights/address.ts';
import { HUB_REFERENCE_FORM, isHubReference, parseHubReference } from '../weights/reference.ts';
import {
  address,
  commonFields,
  dtype,
  gpuMemoryUtilization,
  model,
  pipelineParallelSize,
  program,
  quantization,
  refuseOwnFlags,
  requireDevicesForSpread,
  startedFields,
  tensorParallelSize,
} from './entry-fields.ts';
import { LLAMA_SERVER_FLAGS, TGI_FLAGS, TRANSFORMERS_FLAGS, VLLM_FLAGS } from './own-flags.ts';

/** A server elsewhere that speaks the OpenAI API. */
const openAiEntrySchema = z.strictObject({
  ...commonFields,
  engine: z.literal('openai'),
  /** Its address up to and including the version, e.g. "http://10.0.0.7:8000/v1". */
  base_url: address,
  /** The model's name there. Unset: the first that the server lists. */
  model: z.string().min(1).optional(),
  /** Name of the environment variable that holds the server's key. Unset: no key. */
  api_key_env: z.string().min(1).optional(),
});

/** llama.cpp, embedded: a child process of ours. */
const llamaCppEntrySchema = z.strictObject({
  ...commonFields,
  ...startedFields,
  engine: z.literal('llama.cpp'),
  /** Path of a GGUF file, a reference to one on a Hugging Face hub, or its address. */
  model: z
    .string()
    .min(1)
    .refine(
      (model) => !isHubReference(model) || parseHubReference(model) !== undefined,
      `expected ${HUB_REFERENCE_FORM}`,
    )
    .refine((model) => !isAddress(model) || parseAddress(model) !== undefined, `expected ${ADDRESS_FORM}`),
});

/** `vllm serve`. */
const vllmEntrySchema = z
  .strictObject({
    ...commonFields,
    ...startedFields,
    engine: z.literal('vllm'),
    model,
    program,
    dtype,
    quantization,
    tensor_parallel_size: tensorParallelSize,
    pipeline_parallel_size: pipelineParallelSize,
    gpu_memory_utilization: gpuMemoryUtilization,
    /** What the model is for. "embed": it makes vectors and generates nothing. */
    task: z.enum(['generate', 'embed']).default('generate'),
    /** vLLM's name of how the model writes tool calls, e.g. "hermes". Unset: it calls no tools. */
    tool_call_parser: z.string().min(1).optional(),
    /** vLLM's name of how the model marks its reasoning, e.g. "qwen3". Unset: reasoning stays in the text. */
    reasoning_parser: z.string().min(1).optional(),
    /**
     * An existing Ray cluster that runs the model, "host:port" or "auto". Unset: the processes of this host do. Then
     * `devices` are those of this host that the cluster may use for it; they are booked, an empty list books none.
     */
    ray_address: z.string().min(1).optional(),
  })
  .superRefine((entry, context) => {
    if (entry.ray_address === undefined) requireDevicesForSpread(entry, context);
    else if (!entry.devices) {
      const message = 'must name the devices of this host that the Ray cluster may use, or none: []';
      context.addIssue({ code: 'custom', path: ['devices'], message });
    }
  })
  .superRefine(refuseOwnFlags(VLLM_FLAGS));

/** `text-generation-launcher`. */
const tgiEntrySchema = z
  .strictObject({
    ...commonFields,
    ...startedFields,
    engine: z.literal('tgi'),
    model,
    program,
    dtype,
    quantization,
    tensor_parallel_size: tensorParallelSize,
    gpu_memory_utilization: gpuMemoryUtilization,
  })
  .superRefine(requireDevicesForSpread)
  .superRefine(refuseOwnFlags(TGI_FLAGS));

/** `llama-server`. */
const llamaServerEntrySchema = z
  .strictObject({
    ...commonFields,
    ...startedFields,
    engine: z.literal('llama-server'),
    /** Path of a GGUF file. */
    model,
    program,
    /** Over how many devices the layers are spread. Unset: as many as `devices` names, else 1. */
    tensor_parallel_size: tensorParallelSize,
    /** How many layers run on the devices. Unset: as many as fit. */
    gpu_layers: z.int().min(0).optional(),
    /** What the model is for. "embed": it makes vectors and generates nothing. */
    task: z.enum(['generate', 'embed']).default('generate'),
  })
  .superRefine(requireDevicesForSpread)
  .superRefine(refuseOwnFlags(LLAMA_SERVER_FLAGS));

/** `transformers serve`. */
const transformersEntrySchema = z
  .strictObject({
    ...commonFields,
    ...startedFields,
    engine: z.literal('transformers'),
    model,
    program,
    dtype,
    quantization,
  })
  .superRefine(refuseOwnFlags(TRANSFORMERS_FLAGS));

/** Ollama: with `base_url` one that runs already, else `ollama serve`, which takes no arguments. */
const { extra_args: _, ...ollamaStartedFields } = startedFields;
const ollamaEntrySchema = z.strictObject({
  ...commonFields,
  ...ollamaStartedFields,
  engine: z.literal('ollama'),
  /** Ollama's name of the model, e.g. "qwen3:8b". */
  model,
  program,
  /** Where it runs, e.g. "http://127.0.0.1:11434". Unset: it is started. */
  base_url: address.optional(),
  /** Name of the environment variable with the key of a proxy before it; only with `base_url`. Unset: no key. */
  api_key_env: z.string().min(1).optional(),
});

/** What an Ollama that runs already has of its own. */
const STARTED_ONLY = ['devices', 'share_devices', 'env', 'program', 'start_timeout_seconds', 'load', 'ttl_seconds'];

/**
 * One entry of `inference.models`. What only some entries may hold is refused as such rather than ignored or called
 * unknown.
 */
export const modelEntrySchema = z
  .looseObject({ engine: z.string() })
  .superRefine((entry, context) => {
    refuseIdleResidency(entry, context);
    if (entry.engine !== 'ollama') return;
    const attached = entry.base_url !== undefined;
    for (const field of (attached ? STARTED_ONLY : ['api_key_env']).filter((name) => name in entry)) {
      const message = attached ? 'is only for an Ollama that the mesh starts, without base_url' : 'needs base_url';
      context.addIssue({ code: 'custom', path: [field], message });
    }
  })
  .pipe(
    z.discriminatedUnion('engine', [
      openAiEntrySchema,
      llamaCppEntrySchema,
      vllmEntrySchema,
      tgiEntrySchema,
      llamaServerEntrySchema,
      transformersEntrySchema,
      ollamaEntrySchema,
    ]),
  );

/** Refuses what contradicts `load`. */
function refuseIdleResidency(entry: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  const onDemand = entry.load === 'on_demand';
  if (entry.ttl_seconds !== undefined && !onDemand) {
    context.addIssue({
      code: 'custom',
      path: ['ttl_seconds'],
      message: 'needs load: on_demand, else nothing loads it again',
    });
  }
  if (entry.required === true && onDemand) {
    const message = 'the mesh is ready only with it, and load: on_demand waits for a request; choose one';
    context.addIssue({ code: 'custom', path: ['required'], message });
  }
}

/** Whether the first request loads the engine of an entry, and others may make it go when it is idle. */
export function comesOnDemand(entry: ModelEntry): boolean {
  return 'load' in entry && entry.load === 'on_demand';
}

/** A validated entry of `inference.models`. */
export type ModelEntry = z.output<typeof modelEntrySchema>;

/** A validated entry for a server elsewhere. */
export type OpenAiEntry = z.output<typeof openAiEntrySchema>;

/** A validated entry for the embedded engine. */
export type LlamaCppEntry = z.output<typeof llamaCppEntrySchema>;

/** A validated entry for vLLM. */
export type VllmEntry = z.output<typeof vllmEntrySchema>;

/** A validated entry for TGI. */
export type TgiEntry = z.output<typeof tgiEntrySchema>;

/** A validated entry for llama.cpp's own server. */
export type LlamaServerEntry = z.output<typeof llamaServerEntrySchema>;

/** A validated entry for the server of Hugging Face Transformers. */
export type TransformersEntry = z.output<typeof transformersEntrySchema>;

/** A validated entry for Ollama. */
export type OllamaEntry = z.output<typeof ollamaEntrySchema>;
