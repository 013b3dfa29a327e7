import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { type GenerateRequest, GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { fingerprintOf } from './work.ts';

type Init = Exclude<MessageInitShape<typeof GenerateRequestSchema>, GenerateRequest>;
const request = ({ prompt, ...changes }: Init = {}): GenerateRequest =>
  create(GenerateRequestSchema, { prompt: prompt ?? { input: { case: 'text', value: 'hi' } }, ...changes });

test('a fingerprint is that of the request, in whatever order its maps were sent', () => {
  const options = { min_p: 0.1, nested: { a: 1, b: [1, { c: 2, d: 3 }] } };
  const turned = { nested: { b: [1, { d: 3, c: 2 }], a: 1 }, min_p: 0.1 };
  expect(fingerprintOf(request({ engineOptions: options }))).toBe(fingerprintOf(request({ engineOptions: turned })));
});

test('another request has another fingerprint', () => {
  const others = [
    request({ prompt: { input: { case: 'text', value: 'ho' } } }),
    request({ sampling: { maxTokens: 3 } }),
    request({ sampling: { maxTokens: 3, seed: 1n } }),
    request({ sampling: { maxTokens: 3, seed: 2n } }),
    request({ engineOptions: { a: [1, 2] } }),
    request({ engineOptions: { a: [2, 1] } }),
    request({ endUser: 'ann' }),
    request({ model: 'ann' }),
  ];
  expect(new Set([request(), ...others].map(fingerprintOf)).size).toBe(others.length + 1);
});
