import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { demandOf, demandOfAll, LONGEST_CONTEXT_TOKENS } from './demand.ts';

const demand = (
  sampling: { maxTokens?: number; choices?: number },
  context: number,
  tokens: number,
  isExact = true,
) => {
  const { promptTokens, maxCompletionTokens } = demandOf(create(GenerateRequestSchema, { sampling }), context, {
    tokens,
    isExact,
  });
  return [promptTokens, maxCompletionTokens];
};

test.each([
  ['max_tokens as asked', demand({ maxTokens: 50 }, 1_000, 100), [100, 50]],
  ['of every choice', demand({ maxTokens: 50, choices: 3 }, 1_000, 100), [100, 150]],
  ['clipped to what the context leaves', demand({ maxTokens: 5_000 }, 1_000, 100), [100, 900]],
  ['unset: all that is left', demand({ choices: 2 }, 1_000, 100), [100, 1_800]],
  ['a bound does not shorten the answer', demand({ maxTokens: 950 }, 1_000, 100, false), [100, 950]],
  ['no prompt is longer than the context', demand({ maxTokens: 50 }, 1_000, 9_000, false), [1_000, 50]],
  ['an unknown context is as long as any', demand({}, 0, 48_576), [48_576, LONGEST_CONTEXT_TOKENS - 48_576]],
  ['at least one token', demand({}, 1_000, 1_000), [1_000, 1]],
])('%s', (_name, actual, expected) => {
  expect(actual).toEqual(expected);
});

test('several prompts ask for the sum of what each asks', () => {
  const request = create(GenerateRequestSchema, { sampling: { maxTokens: 500, choices: 2 } });
  const exact = { tokens: 800, isExact: true };
  expect(demandOfAll(request, 1_000, [exact, { tokens: 9_000, isExact: false }])).toEqual({
    promptTokens: 800 + 1_000,
    maxCompletionTokens: 2 * 200 + 2 * 500,
  });
});
