import { z } from 'zod';
import { address, commonFields, model, program, startedFields } from './entry-fields.ts';
import { LLAMA_SERVER_OWN_SETTINGS } from './llama-server-own-settings.ts';
import { notSupported, type OwnSetting, refuseOwnSettings, setByMesh, useField } from './own-settings.ts';

/** Variables of the llama-server that Ollama starts and hands its own environment to. */
const LLAMA_SERVER_VARIABLES = LLAMA_SERVER_OWN_SETTINGS.flatMap(({ names }) => names).filter(
  (name) => !name.startsWith('-'),
);

/** Of `ollama serve`. */
const OWN_SETTINGS: readonly OwnSetting[] = [
  setByMesh('OLLAMA_HOST', 'OLLAMA_KEEP_ALIVE', 'OLLAMA_MAX_LOADED_MODELS'),
  useField('max_concurrency', 'OLLAMA_NUM_PARALLEL'),
  useField('max_model_len', 'OLLAMA_CONTEXT_LENGTH'),
  notSupported('Ollama sets it for the llama-server that it starts', ...LLAMA_SERVER_VARIABLES),
];

/** Ollama: with `base_url` one that runs already, else `ollama serve`, which takes no arguments. */
const { extra_args: _, ...ollamaStartedFields } = startedFields;
export const ollamaEntrySchema = z
  .strictObject({
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
  })
  .superRefine(refuseOwnSettings(OWN_SETTINGS));

/** What an Ollama that runs already has of its own. */
const STARTED_ONLY = ['devices', 'share_devices', 'env', 'program', 'start_timeout_seconds', 'load', 'ttl_seconds'];

/**
 * Refuses fields of the other of its two kinds. For the entry as it is written: defaults would be taken for the
 * operator's words.
 */
export function refuseOtherOllama(entry: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  const attached = entry.base_url !== undefined;
  for (const field of (attached ? STARTED_ONLY : ['api_key_env']).filter((name) => name in entry)) {
    const message = attached ? 'is only for an Ollama that the mesh starts, without base_url' : 'needs base_url';
    context.addIssue({ code: 'custom', path: [field], message });
  }
}

/** A validated entry for Ollama. */
export type OllamaEntry = z.output<typeof ollamaEntrySchema>;
