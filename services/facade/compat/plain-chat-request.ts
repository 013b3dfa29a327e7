import { create } from '@bufbuild/protobuf';
import { z } from 'zod';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';

/** How long an answer of `POST /chat` may be asked for, in tokens. */
export const plainChatMaxTokens = z.int().min(1).max(2048);

/** How random one may be. */
export const plainChatTemperature = z.number().min(0).max(1);

/** The body of `POST /chat`. What it does not name is ignored, null is as absent. */
export const plainChatBodySchema = z.looseObject({
  message: z.string().min(1, 'must not be empty').describe('What the model answers.'),
  max_tokens: plainChatMaxTokens.nullish().describe('Most tokens of the answer. Default: 1000, unless configured.'),
  temperature: plainChatTemperature.nullish().describe('0: always the likeliest. Default: 0.7, unless configured.'),
  stream: z.boolean().nullish().describe('Answer with an event stream. Default: false.'),
});

/** What is generated with where the body does not say. */
export interface PlainChatDefaults {
  readonly max_tokens: number;
  readonly temperature: number;
}

/** The body → the request to the router: one message to the default model. */
export function plainChatRequest(
  { message, max_tokens, temperature }: z.output<typeof plainChatBodySchema>,
  defaults: PlainChatDefaults,
): GenerateRequest {
  const parts = [{ part: { case: 'text' as const, value: message } }];
  return create(GenerateRequestSchema, {
    prompt: { input: { case: 'chat', value: { messages: [{ role: Role.USER, parts }] } } },
    sampling: { maxTokens: max_tokens ?? defaults.max_tokens, temperature: temperature ?? defaults.temperature },
  });
}
