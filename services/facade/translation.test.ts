import { toJsonString } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { z } from 'zod';
import { type GenerateRequest, GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Reason } from '../shared/errors/reasons.ts';
import { plainChatAnswer, plainChatStream } from './compat/plain-chat-answer.ts';
import { plainChatBodySchema, plainChatRequest } from './compat/plain-chat-request.ts';
import { synchronousAnswer } from './compat/synchronous-answer.ts';
import { synchronousBodySchema, synchronousRequest } from './compat/synchronous-request.ts';
import { textToSqlDialect } from './compat/text2sql.ts';
import { facadeConfigSchema } from './config.ts';
import { errorBody, problemOf } from './http/errors.ts';
import { PROBLEM_OF_REASON } from './http/problem-table.ts';
import { validBody } from './http/validate.ts';
import { chatDialect } from './openai/chat-endpoint.ts';
import { type Collector, createCollector } from './openai/collector.ts';
import { completionDialect } from './openai/completion-endpoint.ts';
import type { Dialect } from './openai/generation-route.ts';
import { event } from './test-facade.ts';

// What each route makes of a body, and of the events of a generation, as text in golden/. After a change that is meant:
// npm test -- services/facade/translation.test.ts -u, and read the difference.

type Translate = (body: unknown) => GenerateRequest;

const checked =
  <S extends z.ZodObject>(schema: S, translate: (body: z.output<S>) => GenerateRequest): Translate =>
  (body) =>
    translate(validBody(schema, body));

const { chat: chatDefaults } = facadeConfigSchema.parse({});
const question = [{ role: 'user', content: 'Who spent most?' }];
const SAMPLING = {
  ...{ max_tokens: 100, temperature: 0, top_p: 0.5, seed: 7, n: 2, stop: ['\n', 'END'], user: 'u-1' },
  ...{ frequency_penalty: -1, presence_penalty: 1, logit_bias: { 50256: -100 } },
};
/** Accepted without effect, beside what an engine alone knows. */
const MORE = {
  store: true,
  metadata: { a: 'b' },
  service_tier: 'auto',
  verbosity: 'low',
  top_k: 40,
  min_p: 0.1,
  guided_regex: '[ab]+',
};
const TOOL = {
  type: 'function',
  function: { name: 'sum', description: 'Adds.', parameters: { type: 'object' }, strict: true },
};
const CALL = { id: 'call_1', type: 'function', function: { name: 'sum', arguments: '{"a":1}' } };

const REQUESTS: readonly (readonly [name: string, translate: Translate, body: object])[] = [
  ['chat-completions-least', checked(chatDialect.schema, chatDialect.toRequest), { messages: question }],
  [
    'chat-completions-most',
    checked(chatDialect.schema, chatDialect.toRequest),
    {
      ...{ model: 'chat', ...SAMPLING, ...MORE, max_completion_tokens: 50, logprobs: true, top_logprobs: 2 },
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look.' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'low' } },
            { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
          ],
        },
        { role: 'assistant', content: null, tool_calls: [CALL] },
        { role: 'tool', tool_call_id: 'call_1', content: '3' },
      ],
      ...{ tools: [TOOL], tool_choice: { type: 'function', function: { name: 'sum' } }, reasoning_effort: 'low' },
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'answer', schema: { type: 'object' }, strict: true },
      },
      chat_template_kwargs: { enable_thinking: false },
    },
  ],
  ['completions-least', checked(completionDialect.schema, completionDialect.toRequest), { prompt: 'Once' }],
  [
    'completions-most',
    checked(completionDialect.schema, completionDialect.toRequest),
    { model: 'chat', ...SAMPLING, ...MORE, prompt: ['Once'], echo: true, logprobs: 3, best_of: 2, resume: 'never' },
  ],
  ['text2sql-least', checked(textToSqlDialect.schema, textToSqlDialect.toRequest), { messages: question }],
  [
    'chat-least',
    checked(plainChatBodySchema, (body) => plainChatRequest(body, chatDefaults)),
    { message: 'Hello', unknown: 1 },
  ],
  [
    'chat-most',
    checked(plainChatBodySchema, (body) => plainChatRequest(body, chatDefaults)),
    { message: 'Hello', max_tokens: 2048, temperature: 0, stream: true },
  ],
  [
    'generate-least',
    checked(synchronousBodySchema, (body) => synchronousRequest(body, true)),
    { prompt: 'Once', parameters: { unknown: 1 } },
  ],
  [
    'generate-most',
    checked(synchronousBodySchema, (body) => synchronousRequest(body, false)),
    {
      model_name: 'tiny',
      prompt: 'Once',
      parameters: { temperature: 0, max_new_tokens: 5, top_p: 1, num_return_sequences: 2, stop_sequences: ['\n'] },
    },
  ],
];

test.each(REQUESTS)('a body becomes a request: %s', async (name, translate, body) => {
  const request = toJsonString(GenerateRequestSchema, translate(body), { prettySpaces: 2 });
  await expect(`${JSON.stringify(body, null, 2)}\n\n→ GenerateRequest\n\n${request}\n`).toMatchFileSnapshot(
    `golden/${name}.request.txt`,
  );
});

const started = event('started', { requestId: 'req_1', model: 'chat', modelId: 'org/tiny-1' });
const usage = event('usage', { promptTokens: 7, completionTokens: 3, cachedTokens: 2, reasoningTokens: 1 });
const token = (text: string, logprob: number) => ({
  ...{ token: text, logprob, bytes: new TextEncoder().encode(text) },
  top: [{ token: 'x', logprob: Number.NEGATIVE_INFINITY }],
});

/** Generations, event by event. */
const GENERATIONS: Readonly<Record<string, readonly GenerationEvent[]>> = {
  text: [
    event('delta', { text: 'Gr\u00fc\u00df ' }),
    event('delta', { text: '"dich"\n' }),
    event('finished', { reason: 1 }),
    usage,
  ],
  'two-choices': [
    event('delta', { choice: 1, text: 'b', logprobs: [token('b', -0.5)] }),
    event('delta', { choice: 0, text: 'a', logprobs: [token('a', -1)], tokenIds: [5] }),
    event('finished', { choice: 1, reason: 2 }),
    event('finished', { choice: 0, reason: 1 }),
    usage,
  ],
  tools: [
    event('delta', { reasoning: 'A sum.' }),
    event('delta', { toolCalls: [{ index: 0, id: 'call_1', name: 'sum', arguments: '{"a"' }] }),
    event('delta', { toolCalls: [{ index: 0, arguments: ':1}' }] }),
    event('finished', { reason: 3 }),
    usage,
  ],
  'nothing-at-all': [event('finished', { reason: 1 }), usage],
};

/** How a route tells a generation: in one piece, and as a stream where it has one. */
interface Telling {
  readonly whole: (collected: Collector) => string;
  readonly stream?: (events: readonly GenerationEvent[]) => string;
}

const AT_MS = Date.UTC(2026, 10, 21, 8, 15, 30, 123);
const startedValue = started.event.case === 'started' ? started.event.value : undefined;

function tellingOf<B extends object>({ answer, chunks, idPrefix }: Dialect<B & { model: string }>): Telling {
  const head = { id: `${idPrefix}req_1`, model: 'chat', created: Math.floor(AT_MS / 1000) };
  return {
    whole: (collected) => answer(head, collected),
    stream: (events) => {
      const frames = chunks(head, true);
      return `${events.map((one) => frames(one)).join('')}data: [DONE]\n\n`;
    },
  };
}

const TELLINGS: Readonly<Record<string, Telling>> = {
  'chat-completions': tellingOf(chatDialect),
  completions: tellingOf(completionDialect),
  chat: {
    whole: (collected) => plainChatAnswer(startedValue, collected, AT_MS),
    stream: (events) => {
      const { framesOf, lastFrames } = plainChatStream(() => AT_MS);
      const frames = framesOf(startedValue);
      return events.map((one) => frames(one)).join('') + lastFrames();
    },
  },
  generate: { whole: (collected) => synchronousAnswer(collected, 0.25) },
};

const ANSWERS = Object.entries(TELLINGS).flatMap(([route, telling]) =>
  Object.entries(GENERATIONS).map(([name, events]) => ({ name: `${route}-${name}`, telling, events })),
);

test.each(ANSWERS)('events become an answer: $name', async ({ name, telling, events }) => {
  const collector = createCollector();
  for (const one of events) collector.add(one);
  const whole = JSON.stringify(JSON.parse(telling.whole(collector)), null, 2);
  const stream = telling.stream ? `\nas a stream\n\n${telling.stream(events)}` : '';
  await expect(`${whole}\n${stream}`).toMatchFileSnapshot(`golden/${name}.answer.txt`);
});

test('every reason of an error, as each kind of route tells it', async () => {
  const told = (Object.keys(PROBLEM_OF_REASON) as Reason[]).map((reason) => {
    const problem = problemOf(new MeshError(reason, 'What was wrong.'));
    const bodies = ['/v1/chat/completions', '/chat', '/generate'].map(
      (path) => `  ${path} ${errorBody(problem, path)}`,
    );
    return [`${reason} ${problem.status} ${JSON.stringify(problem.headers)}`, ...bodies].join('\n');
  });
  await expect(`${told.join('\n')}\n`).toMatchFileSnapshot('golden/errors.txt');
});
