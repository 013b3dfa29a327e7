import { expect, test } from 'vitest';
import { samplingConfiguration } from './transformers-sampling.ts';

const sampled = (maxNewTokens: number) => ({
  generation_config: JSON.stringify({ do_sample: true, max_new_tokens: maxNewTokens }),
});

test.each([
  ['a temperature', { temperature: 0.5 }, sampled(1_024)],
  ['as many tokens as asked for', { temperature: 0.5, max_tokens: 7 }, sampled(7)],
  ['top_p alone', { top_p: 0.9 }, sampled(1_024)],
  ['nothing', {}, {}],
  ['a seed alone: as the model has it', { seed: 3 }, {}],
  ['top_p that leaves everything', { top_p: 1 }, {}],
  ['greedy', { temperature: 0 }, {}],
  ['greedy, whatever top_p', { temperature: 0, top_p: 0.5 }, {}],
])('%s', (_name, body, fields) => {
  expect(samplingConfiguration(body)).toEqual(fields);
});
