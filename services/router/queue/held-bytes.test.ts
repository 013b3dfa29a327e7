import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { heldBytes } from './held-bytes.ts';

test('texts, images and audio count with their length, however deep they lie', () => {
  const empty = heldBytes(create(GenerateRequestSchema));
  const text = create(GenerateRequestSchema, { prompt: { input: { case: 'text', value: 'x'.repeat(10_000) } } });
  expect(heldBytes(text) - empty).toBeGreaterThan(10_000);
  expect(heldBytes(text) - empty).toBeLessThan(10_500);
  const audio = { part: { case: 'inputAudio' as const, value: { data: new Uint8Array(50_000) } } };
  const chat = { messages: [{ parts: [audio] }] };
  const heard = create(GenerateRequestSchema, { prompt: { input: { case: 'chat', value: chat } } });
  expect(heldBytes(heard) - empty).toBeGreaterThan(50_000);
  const ids = create(GenerateRequestSchema, {
    prompt: { input: { case: 'tokenIds', value: { ids: Array(1_000).fill(1) } } },
  });
  expect(heldBytes(ids) - empty).toBeGreaterThan(8_000);
});

test('a value that is nested very deep is counted all the same', () => {
  let nested: unknown = 'x';
  for (let depth = 0; depth < 100_000; depth += 1) nested = [nested];
  expect(heldBytes({ nested })).toBeGreaterThan(100_000);
});
