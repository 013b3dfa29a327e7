import { toJsonString } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReason, type GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { errorBody, problemOf } from '../http/errors.ts';
import { validBody } from '../http/validate.ts';
import { createCollector } from '../openai/collector.ts';
import { event } from '../test-facade.ts';
import { messageSchema, messagesTranslation } from './messages-endpoint.ts';
import type { MessagesBody } from './messages-schema.ts';

// As text in golden/; how to renew it stands in ../translation.test.ts.

const bodyOf = (body: object): MessagesBody => validBody(messagesTranslation.schema, body);
const requestOf = (body: object) => messagesTranslation.toRequest(bodyOf(body));

const question = [{ role: 'user', content: 'Hello' }];
const LEAST = { messages: question, max_tokens: 5 };
const MOST = {
  model: 'chat',
  system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Look.' },
        { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA==' } },
        { type: 'image', source: { type: 'url', url: 'https://pictures.test/a.png' } },
      ],
    },
    {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: 'Two sums.', signature: 'x' },
        { type: 'text', text: 'I add.' },
        { type: 'tool_use', id: 'toolu_1', name: 'sum', input: { a: 1 } },
        { type: 'tool_use', id: 'toolu_2', name: 'sum', input: {} },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'toolu_1', content: '3' },
        { type: 'tool_result', tool_use_id: 'toolu_2', content: [{ type: 'text', text: 'no' }], is_error: true },
        { type: 'text', text: 'And now?' },
      ],
    },
  ],
  ...{ max_tokens: 50, temperature: 0, top_p: 0.5, top_k: 40, min_p: 0.1, stop_sequences: ['END'] },
  tools: [{ name: 'sum', description: 'Adds.', input_schema: { type: 'object' }, strict: true }],
  ...{ tool_choice: { type: 'tool', name: 'sum', disable_parallel_tool_use: true }, metadata: { user_id: 'u-1' } },
  ...{ service_tier: 'auto', thinking: { type: 'enabled', budget_tokens: 1024 } },
  output_config: { effort: 'low', format: { type: 'json_schema', schema: { type: 'object' } } },
};

test.each(Object.entries({ least: LEAST, most: MOST }))('a body becomes a request: %s', async (name, body) => {
  const request = toJsonString(GenerateRequestSchema, requestOf(body), { prettySpaces: 2 });
  await expect(`${JSON.stringify(body, null, 2)}\n\n→ GenerateRequest\n\n${request}\n`).toMatchFileSnapshot(
    `golden/${name}.request.txt`,
  );
});

const saying = (block: object) => ({ ...LEAST, messages: [{ role: 'user', content: [block] }] });

test.each([
  [{ messages: question }, 'max_tokens'],
  [{ max_tokens: 5, messages: [] }, 'messages'],
  [saying({ type: 'document', source: {} }), 'messages.0.content.0.type'],
  [saying({ type: 'image', source: { type: 'file', file_id: 'f' } }), 'messages.0.content.0.source.type'],
  [
    saying({ type: 'tool_result', tool_use_id: 't', content: [{ type: 'image' }] }),
    'messages.0.content.0.content.0.type',
  ],
  [{ ...LEAST, messages: [...question, { role: 'assistant', content: 'It is' }] }, 'messages.1.role'],
  [{ ...LEAST, tools: [{ type: 'web_search_20250305', name: 'web_search', input_schema: {} }] }, 'tools.0.type'],
  [{ ...LEAST, mcp_servers: [{}] }, 'mcp_servers'],
  [{ ...LEAST, container: 'c' }, 'container'],
  [{ ...LEAST, n: 2 }, 'n'],
  [{ ...LEAST, stop: 'x' }, 'stop'],
  [{ ...LEAST, max_completion_tokens: 5 }, 'max_completion_tokens'],
])('%j is refused by name', (body, param) => {
  try {
    requestOf(body);
    expect.fail('it was accepted');
  } catch (error) {
    expect(problemOf(error)).toMatchObject({ status: 400, param });
  }
});

const usage = event('usage', { promptTokens: 7, completionTokens: 3, cachedTokens: 2, reasoningTokens: 1 });

const GENERATIONS: Readonly<Record<string, readonly GenerationEvent[]>> = {
  text: [
    event('delta', { text: 'Grüß ' }),
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
    event('delta', { toolCalls: [{ index: 1, id: 'call_2', name: 'sum', arguments: '' }] }),
    event('finished', { reason: FinishReason.TOOL_CALLS }),
    usage,
  ],
  'cut-short': [event('delta', { text: 'Gr' }), event('finished', { reason: FinishReason.LENGTH }), usage],
  'stopped-by-a-text': [
    event('delta', { text: 'Gr' }),
    event('finished', { reason: FinishReason.STOP, matchedStop: 'END' }),
    usage,
  ],
  'no-json': [
    event('delta', { toolCalls: [{ index: 0, id: 'call_1', name: 'sum', arguments: '{"a":' }] }),
    event('finished', { reason: FinishReason.TOOL_CALLS }),
    usage,
  ],
  'nothing-at-all': [event('finished', { reason: FinishReason.STOP }), usage],
};

const head = { id: 'msg_req_1', model: 'chat', created: 1_790_000_000 };

test.each(Object.entries(GENERATIONS))('events become an answer: %s', async (name, events) => {
  const body = bodyOf(LEAST);
  const collector = createCollector();
  for (const one of events) collector.add(one);
  const whole = messageSchema.parse(JSON.parse(messagesTranslation.answer(head, collector, body)));
  const translated = messagesTranslation.events(head, body);
  const stream = events.map((one) => translated.framesOf(one)).join('') + translated.lastFrames();
  await expect(`${JSON.stringify(whole, null, 2)}\n\nas a stream\n\n${stream}`).toMatchFileSnapshot(
    `golden/${name}.answer.txt`,
  );
});

test.each([
  ['INVALID_FIELD', 400, 'invalid_request_error'],
  ['CREDENTIAL_INVALID', 401, 'authentication_error'],
  ['SCOPE_MISSING', 403, 'permission_error'],
  ['MODEL_NOT_FOUND', 404, 'not_found_error'],
  ['MESSAGE_TOO_LARGE', 413, 'request_too_large'],
  ['RATE_LIMIT_EXCEEDED', 429, 'rate_limit_error'],
  ['INTERNAL', 500, 'api_error'],
  ['NO_HEALTHY_ENGINE', 503, 'overloaded_error'],
] as const)('%s has the type that Anthropic gives it, whole and in mid-stream', (reason, status, type) => {
  const problem = problemOf(new MeshError(reason, 'What was wrong.'));
  const body = JSON.parse(errorBody(problem, '/v1/messages?beta=true'));
  expect([problem.status, body]).toMatchObject([status, { type: 'error', detail: problem.message, error: { type } }]);
  const frame = messagesTranslation.events(head, bodyOf(LEAST)).errorFrames(problem);
  expect(frame.startsWith('event: error\ndata: ')).toBe(true);
  expect(JSON.parse(frame.split('data: ')[1] ?? '')).toMatchObject({ type: 'error', error: { type } });
});
