import { z } from 'zod';
import { modelEntrySchema } from './engines/model-entry.ts';

/** The section `inference` of the configuration file. */
export const inferenceConfigSchema = z.strictObject({
  /** The node's name, stable over restarts. Unset: the host's name. */
  node: z.string().min(1).max(256).optional(),
  /** What engines may compute on: "auto" takes the GPUs that are there, "none" leaves them alone; or CUDA indices. */
  devices: z
    .union([z.enum(['auto', 'none']), z.array(z.int().min(0))], {
      error: 'must be "auto", "none" or a list of CUDA indices as nvidia-smi numbers them, e.g. [0, 1]',
    })
    .default('auto')
    .superRefine((devices, context) => {
      if (!Array.isArray(devices)) return;
      if (devices.length === 0) context.addIssue({ code: 'custom', message: 'is empty; for no device write "none"' });
      const twice = devices.find((index, place) => devices.indexOf(index) !== place);
      if (twice !== undefined) context.addIssue({ code: 'custom', message: `${twice} is listed twice` });
    }),
  /**
   * How long a model that came on demand stays at least before another may take its devices, in seconds. Loading takes time
   * in which nobody is served, so it bounds how much of it is spent on swapping.
   */
  min_stay_seconds: z.number().min(0).max(86_400).default(10),
  /**
   * How long requests wait, in seconds, until the busy models that hold the devices they need take nothing new, finish what
   * runs, and go.
   */
  turn_seconds: z.number().min(0).max(86_400).default(5),
  /** The engines of this node. The first one's model is the default. */
  models: z
    .array(modelEntrySchema)
    .default([])
    .superRefine((models, context) => {
      const names = models.map((entry) => entry.name);
      for (const [index, name] of names.entries()) {
        if (names.indexOf(name) === index) continue;
        context.addIssue({ code: 'custom', path: [index, 'name'], message: `'${name}' is used twice` });
      }
    }),
});

/** The validated section `inference`. */
export type InferenceConfig = z.output<typeof inferenceConfigSchema>;
