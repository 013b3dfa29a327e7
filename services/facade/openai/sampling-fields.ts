import { z } from 'zod';

const UINT32_MAX = 4_294_967_295;

/** An array whose length is checked before its elements, so that a hostile one yields one complaint and not a million. */
export function boundedArray<T extends z.ZodType>(
  element: T,
  maximum: number,
): z.ZodPipe<z.ZodCustom<unknown, unknown>, z.ZodArray<T>> {
  const fits = (value: unknown): boolean => !Array.isArray(value) || value.length <= maximum;
  return z
    .custom<unknown>(fits, { error: `at most ${maximum} elements are accepted` })
    .pipe(z.array(element).max(maximum));
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
  model: z
    .string()
    .max(512)
    .nullish()
    .describe('A configured name, an alias or the underlying id. Default: the default model.')
    .transform((name) => name ?? ''),
  max_tokens: z
    .int()
    .min(1)
    .nullish()
    .describe(
      'Most tokens of an answer, clipped to what the context leaves. Default: 2048 in chat, 16 in completions.',
    ),
  temperature: z.number().min(0).max(2).nullish().describe('0: always the likeliest token. Default: 0.7.'),
  top_p: z
    .number()
    .min(0)
    .max(1)
    .nullish()
    .describe('Only the likeliest tokens that together have this probability. Default: 1.'),
  top_k: z.int().min(-1).max(UINT32_MAX).nullish().describe('Only so many of the likeliest tokens. 0 and -1: all.'),
  min_p: z
    .number()
    .min(0)
    .max(1)
    .nullish()
    .describe('Only tokens that have this part of the probability of the likeliest.'),
  frequency_penalty: z.number().min(-2).max(2).nullish().describe('Against tokens as often as they occurred.'),
  presence_penalty: z.number().min(-2).max(2).nullish().describe('Against tokens that occurred.'),
  repetition_penalty: z
    .number()
    .gt(0)
    .max(10)
    .nullish()
    .describe('Divides the likelihood of tokens that occurred. 1: none.'),
  seed: z.int().nullish().describe('The same seed gives the same answer, where the engine can.'),
  n: z.int().min(1).max(8).nullish().describe('How many answers. Default: 1.'),
  stop: z
    .union([stopText, boundedArray(stopText, 16)], {
      error: 'expected a string or a list of at most 16 strings, each of 1 to 512 characters',
    })
    .nullish()
    .describe('Texts that end the answer; they are not part of it.'),
  stop_token_ids: boundedArray(uint32, 64).nullish().describe('Tokens that end the answer.'),
  logit_bias: logitBias.nullish().describe('By token id: what is added to its likelihood.'),
  ignore_eos: z.boolean().nullish().describe('Goes on when the model would end its turn.'),
  min_tokens: uint32.nullish().describe('Fewest tokens of an answer.'),
  return_token_ids: z
    .boolean()
    .nullish()
    .describe('Adds the ids of the tokens to the answer, where the engine tells them.'),
  resume: z
    .enum(['allowed', 'never'])
    .nullish()
    .describe('Whether another engine may go on when the engine breaks off in mid-stream. Default: as configured.'),
  stream: z.boolean().nullish().describe('Answers with an event stream. Default: false.'),
  stream_options: z
    .object({ include_usage: z.boolean().nullish().describe('Adds a last chunk with the usage.') })
    .nullish(),
  user: z.string().max(256).nullish().describe('Accepted and without effect.'),
};

const ignored = z.unknown().optional().describe('Accepted and without effect.');

/** Accepted and without effect: nothing that they ask for changes what the model answers. */
export const ignoredFields = {
  store: ignored,
  metadata: ignored,
  service_tier: ignored,
  parallel_tool_calls: ignored,
  safety_identifier: ignored,
  prompt_cache_key: ignored,
  verbosity: ignored,
};

const samplingBody = z.object(samplingFields);

/** The shared fields after their check. */
export type SamplingFields = z.output<typeof samplingBody>;
