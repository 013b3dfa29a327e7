import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { GenerateRequestSchema, type ToolSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineCapabilitiesSchema, EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { NodeSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { createSnapshot } from '../fleet/snapshot.ts';
import { demandOf } from './demand.ts';
import { countPromptWith } from './prompt-count.ts';

const transport = createRouterTransport(({ service }) => {
  service(InferenceService, { tokenize: () => ({ tokenIds: [1, 2, 3] }) });
});
const count = countPromptWith(() => createClient(InferenceService, transport));
const candidates = (tokenize: boolean) => {
  const capabilities = create(EngineCapabilitiesSchema, { tokenize });
  const engine = create(EngineSchema, { name: 'e', state: EngineState.READY, capabilities });
  const node = create(NodeSchema, { node: 'n', engines: [engine] });
  return createSnapshot([node], { aliases: {} }).models[0]?.candidates ?? [];
};
const asked = (tools: MessageInitShape<typeof ToolSchema>[] = []) =>
  create(GenerateRequestSchema, { prompt: { input: { case: 'text', value: 'a b c' } }, tools });
const signal = new AbortController().signal;

test('a prompt is counted by an engine that has a tokenizer', async () => {
  expect(await count(asked(), [...candidates(false), ...candidates(true)], signal)).toEqual([
    { tokens: 3, isExact: true },
  ]);
  expect(await count(asked(), candidates(false), signal)).toBeUndefined();
});

test('what is written into it besides is a bound, which takes nothing from the context of the answer', async () => {
  const request = asked([{ name: 'f', description: 'x'.repeat(9_000) }]);
  const [counted] = (await count(request, candidates(true), signal)) ?? [];
  expect(counted).toMatchObject({ isExact: false });
  expect(counted?.tokens).toBeGreaterThan(9_003);
  expect(counted && demandOf(request, 8_192, counted).maxCompletionTokens).toBeGreaterThan(8_000);
});

test('each of several prompts is counted; one that no tokenizer can count leaves all of them uncounted', async () => {
  const text = { input: { case: 'text' as const, value: 'd' } };
  const several = create(GenerateRequestSchema, { prompt: text, morePrompts: [text] });
  const exact = { tokens: 3, isExact: true };
  expect(await count(several, candidates(true), signal)).toEqual([exact, exact]);
  const part = { part: { case: 'imageUrl' as const, value: 'data:image/png;base64,AA==' } };
  const picture = { input: { case: 'chat' as const, value: { messages: [{ role: Role.USER, parts: [part] }] } } };
  const mixed = create(GenerateRequestSchema, { prompt: text, morePrompts: [picture] });
  expect(await count(mixed, candidates(true), signal)).toBeUndefined();
});
