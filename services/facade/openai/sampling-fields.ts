import { z } from 'zod';

const UINT32_MAX = 4_294_967_295;

/** An array whose length is checked before its elements, so that a hostile one yields one complaint and not a million. */
export function boundedArray<T extends z.ZodType>(
  element: T,
  maximum: number,
): z.ZodPipe<z.ZodCustom<unknown, unknown>, z.ZodArray<T>> {
  const fits = (value: unknown): boolean => !Array.isArray(value) || value.length <= maximum;
  return z.custom<unknown>(fits, { error: `at most ${maximum} elements are accepted` }).pipe(z.array(element));
}

/** The complaint of a discriminated union about a member that is none of its names; about a non-object zod's own will do. */
export function unlessKnown(member: string, names: string): (issue: { readonly code?: string }) => string | undefined {
  return ({ code }) => (code === 'invalid_union' ? `expected one of ${names} as ${member}` : undefined);
}

/** A 32-bit token id or count. */
export const uint32 = z.int().min(0).max(UINT32_MAX);

const stopText = z.string().min(1).max(512);

const logitBias = z
  .custom<unknown>((value) => typeof value !== 'object' || value === null || Object.keys(value).length <= 1024, {
    error: 'at most 1024 entries are accepted',
  })
  .pipe(z.record(z.string().regex(/^\d{1,10}$/, 'keys must be token ids'), z.number().min(-100).max(100)));

/** Fields that chat and text completions share. Null means the same as absent, as clients send it. */
export const samplingFields = {
  /** Empty: the default model. */
  model: z
    .string()
    .max(512)
    .nullish()
    .transform((name) => name ?? ''),
  max_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  /** -1 is vLLM's word for no limit. */
  top_k: z.int().min(-1).max(UINT32_MAX).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().gt(0).max(10).nullish(),
  seed: z.int().nullish(),
  n: z.int().min(1).max(8).nullish(),
  stop: z
    .union([stopText, boundedArray(stopText, 16)], {
      error: 'expected a string or a list of at most 16 strings, each of 1 to 512 characters',
    })
    .nullish(),
  stop_token_ids: boundedArray(uint32, 64).nullish(),
  logit_bias: logitBias.nullish(),
  ignore_eos: z.boolean().nullish(),
  min_tokens: uint32.nullish(),
  return_token_ids: z.boolean().nullish(),
  /** Whether another engine may go on when the engine breaks off in mid-stream. Absent: as configured. */
  resume: z.enum(['allowed', 'never']).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  user: z.string().max(256).nullish(),
};

/** Accepted and without effect: nothing that they ask for changes what the model answers. */
export const ignoredFields = {
  store: z.unknown().optional(),
  metadata: z.unknown().optional(),
  service_tier: z.unknown().optional(),
  parallel_tool_calls: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
  verbosity: z.unknown().optional(),
};

const samplingBody = z.object(samplingFields);

/** The shared fields after their check. */
export type SamplingFields = z.output<typeof samplingBody>;
