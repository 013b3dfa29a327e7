import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type EmbeddedEngine,
  startEmbeddedEngine,
  streamChunks,
  streamText,
} from '../../../test/fixtures/embedded-engine.ts';
import { stretched } from '../../../test/harness/patience.ts';

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startEmbeddedEngine(['--sequences', '9']);
});
afterAll(() => engine.stop());

type Answer = { text: string; finish_reason: string };
async function complete(fields: object): Promise<Answer> {
  const { text } = await engine.post('/v1/completions', { prompt: 'the river', max_tokens: 1000, ...fields });
  const [choice] = (JSON.parse(text) as { choices?: Answer[] }).choices ?? [];
  if (choice === undefined) throw new Error(text);
  return choice;
}
const bySchema = (schema: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } },
});
const isValid = (schema: object) => {
  const ajv = new Ajv2020({ strict: false });
  formats.default(ajv);
  return ajv.compile(schema);
};

const word = { type: 'string', maxLength: 12 };
const SCHEMAS: readonly (readonly [string, object])[] = [
  [
    'a person',
    {
      type: 'object',
      properties: {
        name: word,
        age: { type: 'integer', minimum: 0, maximum: 130 },
        mood: { enum: ['good', 'goodish', 'bad', null] },
        score: { type: 'number', exclusiveMinimum: 0, maximum: 10 },
        tags: { type: 'array', items: word, minItems: 1, maxItems: 3 },
      },
      required: ['name', 'age', 'tags'],
      additionalProperties: false,
    },
  ],
  [
    'a tree',
    {
      $ref: '#/$defs/node',
      $defs: {
        node: {
          type: 'object',
          properties: {
            value: { type: ['integer', 'null'] },
            children: { items: { $ref: '#/$defs/node' }, maxItems: 2 },
          },
          required: ['value'],
        },
      },
    },
  ],
  [
    'shapes told apart by a const',
    {
      type: 'array',
      minItems: 2,
      maxItems: 4,
      items: {
        oneOf: [
          {
            properties: { kind: { const: 'circle' }, radius: { type: 'number', minimum: 1, maximum: 9 } },
            required: ['kind', 'radius'],
          },
          {
            properties: { kind: { const: 'square' }, side: { type: 'integer', maximum: 5 } },
            required: ['kind', 'side'],
          },
        ],
      },
    },
  ],
  [
    'formats',
    {
      prefixItems: ['date', 'time', 'date-time', 'duration', 'uuid', 'ipv4', 'ipv6', 'hostname', 'email', 'uri'].map(
        (format) => ({ type: 'string', format }),
      ),
      minItems: 10,
      items: false,
    },
  ],
  [
    'exact lengths',
    { prefixItems: [3, 7].map((length) => ({ minLength: length, maxLength: length })), minItems: 2, maxItems: 2 },
  ],
  [
    'a map',
    { type: 'object', properties: { the: word }, additionalProperties: { type: 'boolean' }, required: ['the'] },
  ],
];

test.each(SCHEMAS)('%s: what ends with stop fits the schema, at any temperature', async (_name, schema) => {
  const fits = isValid(schema);
  const seeds = Array.from({ length: 24 }, (_, seed) => seed);
  const answers = await Promise.all(
    seeds.map((seed) =>
      complete({ ...bySchema(schema), seed, temperature: [0, 0.7, 1.5, 2][seed % 4], frequency_penalty: seed % 3 }),
    ),
  );
  const ended = answers.filter(({ finish_reason }) => finish_reason === 'stop');
  expect(ended.length).toBeGreaterThan(2);
  for (const { text } of ended) {
    expect(fits(JSON.parse(text)), `${text} ${JSON.stringify(fits.errors)}`).toBe(true);
  }
  expect(answers.every(({ finish_reason }) => ['stop', 'length'].includes(finish_reason))).toBe(true);
});

test('json_object makes an object, also when a stream brings it', async () => {
  const { text } = await engine.post('/v1/chat/completions', {
    messages: [{ role: 'user', content: 'the river' }],
    response_format: { type: 'json_object' },
    // Quotes, colons and braces are rare in this vocabulary.
    logit_bias: { 1: 6, 92: 6 },
    max_tokens: 2000,
    temperature: 1,
    seed: 5,
    stream: true,
  });
  const chunks = streamChunks(text);
  const content = streamText(chunks);
  expect(content.startsWith('{')).toBe(true);
  if (chunks.flatMap(({ choices }) => choices).at(-1)?.finish_reason === 'stop') JSON.parse(content);
});

test('a text that max_tokens cuts off ends with length', async () => {
  const schema = { type: 'array', minItems: 50, items: { type: 'integer' } };
  expect((await complete({ ...bySchema(schema), max_tokens: 10 })).finish_reason).toBe('length');
});

test('without a schema any value, with text none at all; guided_json is the same as a schema', async () => {
  const any = await complete({ response_format: { type: 'json_schema', json_schema: { name: 'x' } }, temperature: 0 });
  expect(any.finish_reason).toBe('stop');
  JSON.parse(any.text);
  const schema = { enum: ['the', 'sea'] };
  const format = await complete({ ...bySchema(schema), temperature: 0 });
  expect((await complete({ guided_json: schema, temperature: 0 })).text).toBe(format.text);
  const free = await complete({ response_format: { type: 'text' }, temperature: 0, max_tokens: 9 });
  expect(free.text).toBe((await complete({ temperature: 0, max_tokens: 9 })).text);
});

test('a model that would end at once, or not at all, still writes the whole value', async () => {
  const end = JSON.parse((await engine.post('/tokenize', { messages: [{ role: 'user', content: '' }] })).text)
    .tokens[6];
  for (const bias of [100, -100]) {
    const answer = await complete({ ...bySchema({ const: { a: [1, 'the sea'] } }), logit_bias: { [end]: bias } });
    expect(answer).toMatchObject({ text: '{"a":[1,"the sea"]}', finish_reason: 'stop' });
  }
});

test('the name of a control token can only be written as text', async () => {
  const name = '<|im_start|>';
  const tokens = JSON.parse(
    (await engine.post('/tokenize', { messages: [{ role: 'user', content: '' }] })).text,
  ).tokens;
  const answer = await complete({ ...bySchema({ const: name }), logit_bias: { [tokens[0]]: 100 } });
  expect(answer).toMatchObject({ text: `"${name}"`, finish_reason: 'stop' });
});

test.each<[object, string]>([
  [{ logprobs: 1 }, 'logprobs'],
  [{ stop: 'the' }, 'stop'],
  [{ ignore_eos: true }, 'ignore_eos'],
  [{ guided_json: {} }, 'guided_json'],
  [bySchema({ properties: { a: { pattern: 'x' } } }), 'response_format.json_schema.schema.properties.a.pattern'],
  [bySchema({ type: 'nothing' }), 'response_format.json_schema.schema.type'],
  [{ response_format: { type: 'yaml' } }, 'response_format.type'],
  [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
  [{ response_format: { type: 'text' }, guided_json: { not: {} } }, 'guided_json.not'],
])('%j is refused by name', async (fields, param) => {
  const format = { response_format: { type: 'json_object' } };
  const { status, text } = await engine.post('/v1/completions', { prompt: 'a', ...format, ...fields });
  expect([status, JSON.parse(text).error.param]).toEqual([400, param]);
});

test('eight streams beside a constrained one say what they say alone', async () => {
  const prompts = ['the river', 'hello', 'what is the sun', 'a dog', '1+1?', 'x', 'wind and water', 'tell me'];
  const plain = (prompt: string) => complete({ prompt, temperature: 0, max_tokens: 200 });
  const alone: Answer[] = [];
  for (const prompt of prompts) alone.push(await plain(prompt));
  const [, person = {}] = SCHEMAS[0] ?? [];
  const constrained = async () => {
    const texts: string[] = [];
    for (let seed = 0; seed < 10; seed++)
      texts.push((await complete({ ...bySchema(person), seed, temperature: 1 })).text);
    return texts;
  };
  const [together, beside] = await Promise.all([Promise.all(prompts.map(plain)), constrained()]);
  expect(together).toEqual(alone);
  expect(beside).toEqual(await constrained());
});

test('the worst schemas that are taken do not hold up another stream', async () => {
  const members = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`p${index}`, { type: 'string' }]));
  const worst = [
    { type: 'object', properties: members },
    { enum: Array.from({ length: 300 }, (_, index) => 'a'.repeat(index)) },
    { anyOf: Array.from({ length: 60 }, (_, index) => ({ items: { type: 'string' }, maxItems: 10 + index })) },
  ];
  const start = performance.now();
  await Promise.all(
    [...worst, ...worst].map((schema) => complete({ ...bySchema(schema), max_tokens: 100, temperature: 1 })),
  );
  expect(performance.now() - start).toBeLessThan(stretched(2_000));
});
