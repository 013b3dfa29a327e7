import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { vllmRequest } from './vllm-request.ts';

type Options = NonNullable<MessageInitShape<typeof GenerateRequestSchema>['engineOptions']>;

const model = {
  engine: 'e',
  modelId: 'm',
  capabilities: create(EngineCapabilitiesSchema, { tokenPrompts: true, chat: true }),
};

function bodyWith(engineOptions: Options): Readonly<Record<string, unknown>> {
  const prompt = { input: { case: 'text' as const, value: 'x' } };
  return vllmRequest(create(GenerateRequestSchema, { prompt, engineOptions }), model).body;
}

test('the older names of constraints are passed under the one that vLLM reads now', () => {
  const schema = { type: 'object' };
  const body = bodyWith({ guided_json: schema, guided_whitespace_pattern: ' ?', cache_salt: 's' });
  expect(body).toMatchObject({ structured_outputs: { json: schema, whitespace_pattern: ' ?' }, cache_salt: 's' });
  expect(Object.keys(body).filter((field) => field.startsWith('guided'))).toEqual([]);
  expect(bodyWith({ guided_regex: 'a+' }).structured_outputs).toEqual({ regex: 'a+' });
  expect(bodyWith({ guided_choice: ['a', 'b'] }).structured_outputs).toEqual({ choice: ['a', 'b'] });
  expect(bodyWith({ guided_grammar: 'root ::= x' }).structured_outputs).toEqual({ grammar: 'root ::= x' });
});

test('the newer name is passed as it is; both together are refused; null asks for nothing', () => {
  expect(bodyWith({ structured_outputs: { regex: 'b' } }).structured_outputs).toEqual({ regex: 'b' });
  expect(() => bodyWith({ structured_outputs: { regex: 'b' }, guided_regex: 'a' })).toThrow(
    expect.objectContaining({ reason: 'INVALID_FIELD', metadata: { field: 'guided_regex' } }),
  );
  expect(bodyWith({ guided_json: null })).not.toHaveProperty('structured_outputs');
});
