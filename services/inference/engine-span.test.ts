import { create } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import {
  FinishReason,
  type GenerationEvent,
  GenerationEventSchema,
} from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineSchema } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { recordSpans, type TestSpan } from '../shared/observability/tracer.fixture.ts';
import { FlowControl } from '../shared/transport/flow-control.ts';
import type { GenerationSink } from '../shared/transport/generate.ts';
import { tracedGenerate } from '../shared/transport/traced-generate.ts';
import { engineGeneration, inEngineSpan } from './engine-span.ts';

const engine = create(EngineSchema, {
  name: 'chat',
  kind: 'vllm',
  modelId: 'org/m',
  address: 'http://127.0.0.1:9001/v1',
});
const message = (role: Role, value: string) => ({ role, parts: [{ part: { case: 'text' as const, value } }] });
const request = create(GenerateRequestSchema, {
  model: 'alias',
  prompt: {
    input: {
      case: 'chat',
      value: { messages: [message(Role.SYSTEM, 'be brief'), { role: Role.USER, parts: [imagePart()] }] },
    },
  },
  sampling: { maxTokens: 5, topP: 0.5, seed: 7n, choices: 2, stop: ['until this'] },
  responseFormat: { format: { case: 'jsonObject', value: true } },
});

function imagePart() {
  return { part: { case: 'imageUrl' as const, value: 'data:image/png;base64,SECRET' } };
}

let restore = (): void => {};
afterEach(() => restore());

const event = (of: GenerationEvent['event']): GenerationEvent => create(GenerationEventSchema, { event: of } as never);
const EVENTS = [
  event({ case: 'started', value: { modelId: 'org/m-served' } as never }),
  event({ case: 'delta', value: { choice: 0, text: 'one', reasoning: 'why' } as never }),
  event({ case: 'delta', value: { choice: 1, text: 'two' } as never }),
  event({ case: 'delta', value: { choice: 0, text: ' more' } as never }),
  event({ case: 'finished', value: { choice: 0, reason: FinishReason.STOP } as never }),
  event({ case: 'finished', value: { choice: 1, reason: FinishReason.LENGTH } as never }),
  event({ case: 'usage', value: { promptTokens: 3, completionTokens: 4, cachedTokens: 1 } as never }),
];

/** The span of a generation that ends so. */
function spanOf(end: (sink: GenerationSink) => void, recordsContent = false): TestSpan | undefined {
  const { spans, restore: undo } = recordSpans(true, recordsContent);
  restore = undo;
  const call = { requestId: 'r', signal: new AbortController().signal, flow: new FlowControl() };
  tracedGenerate((_request, _call, sink) => end(sink), engineGeneration(engine))(request, call, {
    event() {},
    end() {},
    fail() {},
  });
  return spans[0];
}

function wholeAnswer(sink: GenerationSink): void {
  for (const one of EVENTS) sink.event(one);
  sink.end();
}

test('the span of an engine call says what conventions for generative AI say, and no text', () => {
  const span = spanOf(wholeAnswer);
  expect(span).toMatchObject({ name: 'chat org/m', kind: 'client', hasEnded: true, failedAs: undefined });
  expect(span?.attributes).toEqual({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'vllm',
    'gen_ai.request.model': 'org/m',
    'gen_ai.request.stream': true,
    'gen_ai.output.type': 'json',
    'gen_ai.request.max_tokens': 5,
    'gen_ai.request.top_p': 0.5,
    'gen_ai.request.seed': 7,
    'gen_ai.request.choice.count': 2,
    'gen_ai.response.model': 'org/m-served',
    'gen_ai.response.finish_reasons': ['stop', 'length'],
    'gen_ai.response.time_to_first_chunk': expect.any(Number),
    'gen_ai.usage.input_tokens': 3,
    'gen_ai.usage.output_tokens': 4,
    'gen_ai.usage.cache_read.input_tokens': 1,
    'mesh.engine': 'chat',
    'mesh.request.id': 'r',
    'server.address': '127.0.0.1',
    'server.port': 9001,
  });
});

test('with texts, where an operator asked for them; images are only mentioned', () => {
  const attributes = spanOf(wholeAnswer, true)?.attributes;
  expect(JSON.parse(String(attributes?.['gen_ai.input.messages']))).toEqual([
    { role: 'system', parts: [{ type: 'text', content: 'be brief' }] },
    { role: 'user', parts: [{ type: 'image' }] },
  ]);
  expect(attributes?.['gen_ai.request.stop_sequences']).toEqual(['until this']);
  expect(JSON.parse(String(attributes?.['gen_ai.output.messages']))).toEqual([
    {
      role: 'assistant',
      parts: [
        { type: 'reasoning', content: 'why' },
        { type: 'text', content: 'one more' },
      ],
      finish_reason: 'stop',
    },
    { role: 'assistant', parts: [{ type: 'text', content: 'two' }], finish_reason: 'length' },
  ]);
});

test('a long text is cut', () => {
  const span = spanOf((sink) => {
    for (let i = 0; i < 100; i += 1) sink.event(event({ case: 'delta', value: { text: 'x'.repeat(1_024) } as never }));
    sink.end();
  }, true);
  expect(String(span?.attributes['gen_ai.output.messages']).length).toBeLessThan(66_000);
});

test('an engine that came back elsewhere is told where it is now', async () => {
  const { spans, restore: undo } = recordSpans();
  restore = undo;
  const moved = create(EngineSchema, engine);
  const call = () => inEngineSpan(moved, 'embeddings', undefined, () => Promise.resolve());
  await call();
  moved.address = 'http://127.0.0.1:9002/v1';
  await call();
  expect(spans.map(({ attributes }) => attributes['server.port'])).toEqual([9001, 9002]);
});

test('what broke off is told by its reason; where an engine listens on a socket stays here', async () => {
  const failed = spanOf((sink) => sink.fail(new MeshError('ENGINE_LOST', 'of /run/secret.sock')));
  expect(failed).toMatchObject({ failedAs: 'ENGINE_LOST', hasEnded: true });
  restore();
  const { spans, restore: undo } = recordSpans();
  restore = undo;
  const local = create(EngineSchema, { ...engine, address: 'unix:/run/secret.sock' });
  const work = () => Promise.reject(new MeshError('ENGINE_FAILED', 'x'));
  await expect(inEngineSpan(local, 'embeddings', undefined, work)).rejects.toThrow();
  expect(spans[0]).toMatchObject({ name: 'embeddings org/m', failedAs: 'ENGINE_FAILED', hasEnded: true });
  expect(JSON.stringify(spans)).not.toContain('secret');
});
