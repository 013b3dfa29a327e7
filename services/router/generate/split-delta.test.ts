import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { DeltaSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { firstTokens } from './split-delta.ts';

const delta = (more: MessageInitShape<typeof DeltaSchema> = {}) =>
  create(DeltaSchema, {
    text: 'abbccc',
    logprobs: ['a', 'bb', 'ccc'].map((token) => ({ token })),
    tokenIds: [1, 2, 3],
    completionTokens: 10,
    ...more,
  });

test('a group whose tokens have texts is split between two of them', () => {
  const part = firstTokens(delta(), 3, 2);
  expect(part).toMatchObject({ text: 'abb', tokenIds: [1, 2], completionTokens: 9 });
  expect(part?.logprobs.map(({ token }) => token)).toEqual(['a', 'bb']);
});

test.each([
  ['nothing fits', delta(), 3, 0],
  ['no texts of tokens', delta({ logprobs: [] }), 3, 2],
  ['texts of some only', delta(), 4, 2],
  ['text and tokens differ', delta({ text: 'abb\u00e9' }), 3, 2],
  ['reasoning', delta({ reasoning: 'r' }), 3, 2],
  ['fragments of tool calls', delta({ toolCalls: [{ index: 0, arguments: '{' }] }), 3, 2],
])('it is not split: %s', (_name, group, tokens, count) => {
  expect(firstTokens(group, tokens, count)).toBeUndefined();
});

test('ids that do not belong to the tokens one by one are left out', () => {
  expect(firstTokens(delta({ tokenIds: [1, 2] }), 3, 1)).toMatchObject({ text: 'a', tokenIds: [] });
});
