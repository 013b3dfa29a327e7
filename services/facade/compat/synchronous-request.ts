import { create } from '@bufbuild/protobuf';
import { z } from 'zod';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { boundedArray } from '../openai/sampling-fields.ts';

const UINT32_MAX = 4_294_967_295;

/** The body of the synchronous `POST /generate`. What it does not name is ignored, null is as absent. */
export const synchronousBodySchema = z.looseObject({
  model_name: z.string().max(512).nullish().describe('Default: the default model.'),
  prompt: z.string().min(1, 'must not be empty').describe('Goes to the model as it is, without a chat template.'),
  parameters: z
    .looseObject({
      temperature: z.number().min(0).max(2).nullish().describe('0: always the likeliest token. Default: 0.7.'),
      max_new_tokens: z.int().min(1).nullish().describe('Most tokens of an answer. Default: 200.'),
      top_p: z
        .number()
        .min(0)
        .max(1)
        .nullish()
        .describe('Only the likeliest tokens that together have this probability. Default: 0.9.'),
      num_return_sequences: z.int().min(1).max(8).nullish().describe('How many answers. Default: 1.'),
      stop_sequences: boundedArray(z.string().min(1).max(512), 16).nullish().describe('Texts that end the answer.'),
    })
    .nullish(),
});

/** What is generated with where the body does not say. */
const DEFAULTS = { temperature: 0.7, maxNewTokens: 200, topP: 0.9 };

/** The body → the request to the router. `logprobs`: whether the tokens are asked for with their log-probabilities. */
export function synchronousRequest(body: z.output<typeof synchronousBodySchema>, logprobs: boolean): GenerateRequest {
  const { temperature, max_new_tokens, top_p, num_return_sequences, stop_sequences } = body.parameters ?? {};
  return create(GenerateRequestSchema, {
    model: body.model_name ?? '',
    prompt: { input: { case: 'text', value: body.prompt } },
    sampling: {
      // Clipped to the context further on; a larger number only has to fit the field.
      maxTokens: Math.min(max_new_tokens ?? DEFAULTS.maxNewTokens, UINT32_MAX),
      temperature: temperature ?? DEFAULTS.temperature,
      topP: top_p ?? DEFAULTS.topP,
      choices: num_return_sequences ?? undefined,
      stop: stop_sequences ?? [],
      logprobs,
    },
  });
}

/** Fields as engines name them in a refusal → as this body has them. */
const ROUTE_WORDS: ReadonlyMap<string, string> = new Map([
  ['n', 'num_return_sequences'],
  ['max_tokens', 'max_new_tokens'],
  ['stop', 'stop_sequences'],
]);

/** An engine's complaint about a field, with the name that the field has in this body. */
export function inRouteWords(error: MeshError): MeshError {
  const { reason, metadata, message } = error;
  const word = ROUTE_WORDS.get(metadata.field ?? '');
  if (word === undefined) return error;
  const told = message.replace(`'${metadata.field}'`, `'${word}'`).replace(`${metadata.field}: `, `${word}: `);
  return new MeshError(reason, told, { metadata: { ...metadata, field: word }, cause: error });
}
