import { toJsonString } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReason, type GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { problemOf } from '../http/errors.ts';
import { validBody } from '../http/validate.ts';
import { createCollector } from '../openai/collector.ts';
import { event } from '../test-facade.ts';
import { responseEventSchema, responseSchema } from './response-schema.ts';
import { responsesTranslation } from './responses-endpoint.ts';
import type { ResponsesBody } from './responses-schema.ts';

// As text in golden/; how to renew it stands in ../translation.test.ts.

const bodyOf = (body: object): ResponsesBody => validBody(responsesTranslation.schema, body);

const TOOL = { type: 'function', name: 'sum', description: 'Adds.', parameters: { type: 'object' }, strict: true };
const MOST = {
  model: 'chat',
  instructions: 'Be brief.',
  input: [
    { role: 'developer', content: [{ type: 'input_text', text: 'In German.' }] },
    {
      role: 'user',
      content: [
        { type: 'input_text', text: 'Look.' },
        { type: 'input_image', image_url: 'data:image/png;base64,AA==', detail: 'low' },
        { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
      ],
    },
    { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'x' },
    {
      ...{ type: 'message', id: 'msg_1', role: 'assistant', status: 'completed' },
      content: [{ type: 'output_text', text: 'I add.', annotations: [] }],
    },
    { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'sum', arguments: '{"a":1}', status: 'completed' },
    { type: 'function_call', call_id: 'call_2', name: 'sum', arguments: '{"a":2}' },
    { type: 'function_call_output', call_id: 'call_1', output: '3' },
    { type: 'function_call_output', call_id: 'call_2', output: [{ type: 'input_text', text: '4' }] },
  ],
  ...{ max_output_tokens: 50, temperature: 0, top_p: 0.5, user: 'u-1', top_k: 40, min_p: 0.1, guided_regex: '[ab]+' },
  ...{ tools: [TOOL], tool_choice: { type: 'function', name: 'sum' }, parallel_tool_calls: false },
  ...{ store: true, metadata: { a: 'b' }, service_tier: 'auto', truncation: 'disabled', background: false },
  ...{ reasoning: { effort: 'low', summary: 'auto' }, include: ['message.output_text.logprobs'], top_logprobs: 2 },
  text: { verbosity: 'low', format: { type: 'json_schema', name: 'answer', schema: { type: 'object' }, strict: true } },
};

test.each(Object.entries({ least: { input: 'Hello' }, most: MOST }))(
  'a body becomes a request: %s',
  async (name, body) => {
    const request = toJsonString(GenerateRequestSchema, responsesTranslation.toRequest(bodyOf(body)), {
      prettySpaces: 2,
    });
    await expect(`${JSON.stringify(body, null, 2)}\n\n→ GenerateRequest\n\n${request}\n`).toMatchFileSnapshot(
      `golden/${name}.request.txt`,
    );
  },
);

test.each([
  [{}, 'input'],
  [{ input: [] }, 'input'],
  [{ input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'f' }] }] }, 'input.0.content.0.type'],
  [{ input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] }, 'input.0.content.0.image_url'],
  [{ input: [{ role: 'system', content: [{ type: 'input_image', image_url: 'x' }] }] }, 'input.0.content.0.type'],
  [{ input: [{ type: 'item_reference', id: 'x' }] }, 'input.0.type'],
  [{ input: 'a', previous_response_id: 'resp_1' }, 'previous_response_id'],
  [{ input: 'a', conversation: { id: 'c' } }, 'conversation'],
  [{ input: 'a', background: true }, 'background'],
  [{ input: 'a', truncation: 'auto' }, 'truncation'],
  [{ input: 'a', prompt: { id: 'p' } }, 'prompt'],
  [{ input: 'a', max_tokens: 5 }, 'max_tokens'],
  [{ input: 'a', n: 2 }, 'n'],
  [{ input: 'a', tools: [{ type: 'web_search' }] }, 'tools.0.type'],
  [{ input: 'a', include: ['file_search_call.results'] }, 'include.0'],
  [{ input: 'a', top_logprobs: 3 }, 'top_logprobs'],
])('%j is refused by name', (body, param) => {
  expect(() => bodyOf(body)).toThrow(MeshError);
  try {
    bodyOf(body);
  } catch (error) {
    expect(problemOf(error)).toMatchObject({ status: 400, param });
  }
});

const usage = event('usage', { promptTokens: 7, completionTokens: 3, cachedTokens: 2, reasoningTokens: 1 });
const token = (text: string) => ({
  ...{ token: text, logprob: -0.5, bytes: new TextEncoder().encode(text) },
  top: [{ token: 'x', logprob: Number.NEGATIVE_INFINITY }],
});

const GENERATIONS: Readonly<Record<string, readonly GenerationEvent[]>> = {
  text: [
    event('delta', { text: 'Grüß ', logprobs: [token('Grüß ')] }),
    event('delta', { text: '"dich"\n' }),
    event('finished', { reason: FinishReason.STOP }),
    usage,
  ],
  'reasoning-and-tools': [
    event('delta', { reasoning: 'A ' }),
    event('delta', { reasoning: 'sum.' }),
    event('delta', { text: 'I add.' }),
    event('delta', { toolCalls: [{ index: 0, id: 'call_1', name: 'sum', arguments: '' }] }),
    event('delta', { toolCalls: [{ index: 0, arguments: '{"a":1}' }] }),
    event('delta', { toolCalls: [{ index: 1, id: 'call_2', name: 'sum', arguments: '{}' }] }),
    event('finished', { reason: FinishReason.TOOL_CALLS }),
    usage,
  ],
  'cut-short': [event('delta', { text: 'Gr' }), event('finished', { reason: FinishReason.LENGTH }), usage],
  'nothing-at-all': [event('finished', { reason: FinishReason.STOP }), usage],
};

const head = { id: 'resp_req_1', model: 'chat', created: 1_790_000_000 };

test.each(Object.entries(GENERATIONS))('events become an answer: %s', async (name, events) => {
  const body = bodyOf({ input: 'Hello', metadata: { a: 'b' } });
  const collector = createCollector();
  for (const one of events) collector.add(one);
  const whole = JSON.parse(responsesTranslation.answer(head, collector, body)) as { output: unknown };
  const translated = responsesTranslation.events(head, body);
  const stream = events.map((one) => translated.framesOf(one)).join('') + translated.lastFrames();
  const told = [...stream.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? ''));
  for (const [number, one] of told.entries()) {
    expect(responseEventSchema.parse(one)).toMatchObject({ sequence_number: number });
  }
  // Both forms end with the same answer.
  expect(told.at(-1).response).toEqual(responseSchema.parse(whole));
  await expect(`${JSON.stringify(whole, null, 2)}\n\nas a stream\n\n${stream}`).toMatchFileSnapshot(
    `golden/${name}.answer.txt`,
  );
});

test('an error in mid-stream has the next number, and both forms that clients read', () => {
  const translated = responsesTranslation.events(head, bodyOf({ input: 'Hello' }));
  translated.framesOf(event('delta', { text: 'a' }));
  const frame = translated.errorFrames(problemOf(new MeshError('ENGINE_LOST', 'gone')));
  expect(frame.startsWith('event: error\n')).toBe(true);
  expect(JSON.parse(frame.split('data: ')[1] ?? '')).toEqual({
    ...{ type: 'error', sequence_number: 5, code: 'engine_lost', message: 'gone', param: null },
    error: { code: 'engine_lost', message: 'gone', param: null, type: 'server_error' },
  });
});
