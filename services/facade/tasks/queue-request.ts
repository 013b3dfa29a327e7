import { create } from '@bufbuild/protobuf';
import { z } from 'zod';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';

/** Fields of the body that the configuration gives defaults to. */
export const queueMaxTokens = z.int().min(1).max(32_768);
export const queueTemperature = z.number().min(0).max(2);

/** The body of the queued `POST /generate`. What it does not name is ignored, null is as absent. */
export const queueBodySchema = z.looseObject({
  prompt: z.string().min(1, 'must not be empty').describe('What the model is given.'),
  max_tokens: queueMaxTokens.nullish().describe('The most tokens to make; 512 unless configured otherwise.'),
  temperature: queueTemperature.nullish().describe('0 to 2; 0.7 unless configured otherwise.'),
  top_p: z.number().min(0).max(1).nullish().describe('0 to 1; 0.9 by default.'),
  user_id: z.string().max(256).nullish().describe('Your own label for whom you ask; it is kept with the task.'),
});

/** What is generated with where the body does not say. */
export interface QueueDefaults {
  readonly maxTokens: number;
  readonly temperature: number;
}

const TOP_P = 0.9;

/** The body → the generation, by the default model. */
export function queueRequest(body: z.output<typeof queueBodySchema>, defaults: QueueDefaults): GenerateRequest {
  return create(GenerateRequestSchema, {
    prompt: { input: { case: 'text', value: body.prompt } },
    sampling: {
      maxTokens: body.max_tokens ?? defaults.maxTokens,
      temperature: body.temperature ?? defaults.temperature,
      topP: body.top_p ?? TOP_P,
    },
    endUser: body.user_id ?? '',
  });
}
