import { z } from 'zod';

/** How long a start may take in all, in seconds, when the entry does not say. */
const DEFAULT_START_TIMEOUT_SECONDS = 3_600;

/** Fields of every entry. */
export const commonFields = {
  /** The engine's name: what requests name, unique on the node. */
  name: z.string().min(1).max(256),
  /** The longest sequence, in tokens. Unset: what the engine says. */
  max_model_len: z.int().min(1).optional(),
  /** How many requests run at a time. Unset: what the engine says, else no limit of ours. */
  max_concurrency: z.int().min(1).max(65_536).optional(),
  /**
   * How many tokens the requests that run at a time may fill together, prompts and the most that they may produce. Unset: no
   * limit of ours.
   */
  max_concurrent_context_tokens: z.int().min(1).max(4_294_967_295).optional(),
  /** Whether the mesh is ready only with it. */
  required: z.boolean().default(false),
};

/** A name with '=' would set another variable. */
const environment = z.record(z.string(), z.string()).superRefine((variables, context) => {
  for (const name of Object.keys(variables)) {
    if (/^[^=\0]+$/.test(name)) continue;
    context.addIssue({ code: 'custom', path: [name], message: "must be the name of a variable, without '='" });
  }
});

/** Fields of every entry whose process is ours to start. */
export const startedFields = {
  /** CUDA indices in PCI bus order; an empty list is the CPU. Unset: chosen by what is free. */
  devices: z
    .array(z.int().min(0))
    .refine((indices) => new Set(indices).size === indices.length, 'names a device twice')
    .optional(),
  /** Whether other engines may be on the same devices. */
  share_devices: z.boolean().default(false),
  /** Environment variables for the process, besides the few that it gets anyway. */
  env: environment.default({}),
  /** Arguments appended to its command line as they are. */
  extra_args: z.array(z.string()).default([]),
  /** When it is loaded: as soon as the node starts, or by the first request that needs it; then it may also go again. */
  load: z.enum(['at_start', 'on_demand']).default('at_start'),
  /** After how long without a request an engine that comes on demand goes, in seconds. Unset: when others need its devices. */
  ttl_seconds: z.number().positive().max(31_536_000).optional(),
  /** How long a start may take in all, however much it progresses, in seconds. */
  start_timeout_seconds: z.number().positive().max(86_400).default(DEFAULT_START_TIMEOUT_SECONDS),
};

/** The program of an engine. Unset: the kind's own name, looked up on PATH. */
export const program = z.string().min(1).optional();

/** A model by what the engine calls it: a path or a Hugging Face id. A leading dash would be taken for a flag. */
export const model = z.string().min(1).regex(/^[^-]/, "must not start with '-'");

/** Over how many devices each layer is split. Unset: as many as `devices` names, else 1. */
export const tensorParallelSize = z.int().min(1).max(1_024).optional();

/** Over how many groups of devices the layers are spread, one after another. Unset: 1. */
export const pipelineParallelSize = z.int().min(1).max(1_024).optional();

/** The share of each device's memory that the engine claims, whatever the model needs. */
export const gpuMemoryUtilization = z.number().gt(0).max(1).optional();

/** What weights are computed in. */
export const dtype = z.enum(['auto', 'float16', 'bfloat16', 'float32']).optional();

/** The engine's name of a quantization method. Unset: as the model says. */
export const quantization = z.string().min(1).regex(/^[^-]/, "must not start with '-'").optional();

/** An address is shown and logged, so nothing in it may be secret. The problem does not quote it. */
export const address = z.url({ protocol: /^https?$/, abort: true }).superRefine((url, context) => {
  const { username, password } = new URL(url);
  const where = 'name the variable with the key in api_key_env';
  if (username || password) {
    context.addIssue({ code: 'custom', message: `must not hold a user or password; ${where}` });
  } else if (/[?#]/.test(url)) {
    context.addIssue({ code: 'custom', message: `must not hold a query or fragment; ${where}` });
  }
});

/** What says over how many devices a model is spread. */
export interface Spread {
  readonly devices?: readonly number[] | undefined;
  readonly tensor_parallel_size?: number | undefined;
  readonly pipeline_parallel_size?: number | undefined;
}

/** Refuses a list of devices that is not as long as the model is spread. */
export function requireDevicesForSpread(entry: Spread, context: z.RefinementCtx): void {
  const { devices, tensor_parallel_size: split, pipeline_parallel_size: stages = 1 } = entry;
  if (!devices || devices.length === 0) return;
  const needed = split === undefined ? Math.ceil(devices.length / stages) * stages : split * stages;
  if (devices.length === needed) return;
  const fields = stages === 1 ? 'tensor_parallel_size' : 'tensor_parallel_size times pipeline_parallel_size';
  const message = `names ${devices.length} devices, and ${fields} asks for ${needed}`;
  context.addIssue({ code: 'custom', path: ['devices'], message });
}
