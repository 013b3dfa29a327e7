import { z } from 'zod';
import type { Answer } from '../http/endpoint.ts';

const readySchema = z.object({
  message: z.string(),
  model_name: z.string().describe('As it was asked for.'),
  device: z.string().describe('E.g. `cuda:0`, `cuda:0,1`, `cpu`, `remote`.'),
  load_seconds: z.number(),
});

const progressSchema = z.object({
  state: z.string().optional().describe('E.g. `placed`, `starting`.'),
  stage: z.string().optional().describe("The engine's word for what it does."),
  percent: z.number().optional(),
  elapsed_seconds: z.number(),
});

const ready = { message: "Model 'chat' is loaded on cuda:0.", model_name: 'chat', device: 'cuda:0', load_seconds: 2.5 };
const progress = { state: 'starting', stage: 'loading weights', percent: 40, elapsed_seconds: 0.9 };

/** What a load answers. */
export const loadAnswers: Readonly<Record<number, Answer>> = {
  200: {
    description:
      'The model is ready. As a stream: the progress, the body of the JSON answer last; after the first event a failure is the ' +
      'body of the error as the last one.',
    json: { name: 'ModelLoaded', schema: readySchema, example: ready },
    events: {
      name: 'LoadProgress',
      schema: z.union([progressSchema, readySchema]),
      example: `data: ${JSON.stringify(progress)}\n\ndata: ${JSON.stringify(ready)}\n\n`,
    },
  },
};
