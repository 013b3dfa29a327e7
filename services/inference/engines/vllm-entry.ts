import { z } from 'zod';
import { ARGPARSE } from './command-line.ts';
import {
  commonFields,
  dtype,
  gpuMemoryUtilization,
  model,
  pipelineParallelSize,
  program,
  quantization,
  requireDevicesForSpread,
  startedFields,
  tensorParallelSize,
} from './entry-fields.ts';
import { refuseOwnSettings } from './own-settings.ts';
import { VLLM_OWN_SETTINGS } from './vllm-own-settings.ts';

/** `vllm serve`. */
export const vllmEntrySchema = z
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
     * Whether it sleeps instead of ending when another model needs its devices: the weights stay in host memory, and to wake
     * takes a fraction of a start. Only for an entry that comes on demand.
     */
    sleep_mode: z.boolean().default(false),
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
  .superRefine((entry, context) => {
    if (!entry.sleep_mode || entry.load === 'on_demand') return;
    const message = 'needs load: on_demand, else it is never sent to sleep';
    context.addIssue({ code: 'custom', path: ['sleep_mode'], message });
  })
  .superRefine(refuseOwnSettings(VLLM_OWN_SETTINGS, ARGPARSE));

/** A validated entry for vLLM. */
export type VllmEntry = z.output<typeof vllmEntrySchema>;
