import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedEngine, startEmbeddedEngine } from '../../../test/fixtures/embedded-engine.ts';

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startEmbeddedEngine();
});
afterAll(() => engine.stop());

const chat = { messages: [{ role: 'user', content: 'hello' }], max_tokens: 1 };
async function refusal(path: string, body: unknown) {
  const { status, text } = await engine.post(path, body);
  return { status, error: JSON.parse(text).error as { message: string; param: string | null; code: string | null } };
}

test.each([
  ['n', 2],
  ['prompt_logprobs', 1],
  ['echo', true],
  ['tools', [{ type: 'function', function: { name: 'f' } }]],
  ['guided_grammar', 'root ::= "a"'],
  ['chat_template', '{{ 1 }}'],
  ['best_of', 4],
])('%s is refused by name', async (field, value) => {
  const { status, error } = await refusal('/v1/chat/completions', { ...chat, [field]: value });
  expect([status, error.param, error.code]).toEqual([400, field, 'unsupported_parameter']);
});

test('values that change nothing are accepted, also null, and unknown fields are left alone', async () => {
  const { status } = await engine.post('/v1/chat/completions', {
    ...chat,
    n: 1,
    logprobs: false,
    tools: [],
    chat_template_kwargs: {},
    response_format: { type: 'text' },
    stop: null,
    seed: null,
    user: 'somebody',
    metadata: { a: 1 },
  });
  expect(status).toBe(200);
});

test.each([
  ['/v1/chat/completions', {}, 'messages'],
  ['/v1/chat/completions', { messages: [] }, 'messages'],
  ['/v1/chat/completions', { messages: [{ role: 'robot', content: '' }] }, 'messages.0.role'],
  ['/v1/chat/completions', { messages: [{ role: 'user', content: 5 }] }, 'messages.0.content'],
  ['/v1/chat/completions', { ...chat, temperature: 'hot' }, 'temperature'],
  ['/v1/chat/completions', { ...chat, temperature: -1 }, 'temperature'],
  ['/v1/chat/completions', { ...chat, max_tokens: 0 }, 'max_tokens'],
  ['/v1/chat/completions', { ...chat, stream: 'yes' }, 'stream'],
  ['/v1/chat/completions', { ...chat, stop: new Array(17).fill('a') }, 'stop'],
  ['/v1/chat/completions', { ...chat, logit_bias: { 99999: 1 } }, 'logit_bias'],
  ['/v1/chat/completions', { ...chat, top_logprobs: 3 }, 'top_logprobs'],
  ['/v1/chat/completions', { ...chat, logprobs: 1 }, 'logprobs'],
  ['/v1/chat/completions', { ...chat, logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
  ['/v1/completions', { prompt: 'a', logprobs: true }, 'logprobs'],
  ['/v1/completions', { prompt: 'a', logprobs: 21 }, 'logprobs'],
  ['/v1/completions', { prompt: 'a', logprobs: 1, top_logprobs: 2 }, 'top_logprobs'],
  ['/v1/completions', {}, 'prompt'],
  ['/v1/completions', { prompt: '' }, 'prompt'],
  ['/v1/completions', { prompt: [1, -1] }, 'prompt.1'],
  ['/v1/completions', { prompt: [99999] }, 'prompt'],
  ['/v1/completions', { prompt: ['a', 'b'] }, 'prompt'],
])('%s %j names the field', async (path, body, param) => {
  const { status, error } = await refusal(path, body);
  expect([status, error.param]).toEqual([400, param]);
});

test.each(['', '{', '[]', '5', `${'['.repeat(100_000)}`])('a body that is no object is refused', async (body) => {
  const { status } = await refusal('/v1/completions', body);
  expect(status).toBe(400);
});

test('nesting a hundred thousand deep is harmless', async () => {
  const body = `{"prompt":"a","max_tokens":1,"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
  expect([200, 400]).toContain((await engine.post('/v1/completions', body)).status);
  expect((await engine.get('/health')).status).toBe(200);
});

test('a body over 16 MiB gets 413, announced or not', async () => {
  const body = JSON.stringify({ prompt: 'a'.repeat(17 * 1024 * 1024) });
  expect((await engine.post('/v1/completions', body, { 'content-length': String(body.length) })).status).toBe(413);
  expect((await engine.post('/v1/completions', body, { 'transfer-encoding': 'chunked' })).status).toBe(413);
});

test('a client that is still sending its large body sees the answer, not a broken connection', async () => {
  const socket = connect(engine.socketPath);
  const bytes = 20 * 1024 * 1024;
  socket.write(`POST /tokenize HTTP/1.1\r\nhost: engine\r\nconnection: close\r\ncontent-length: ${bytes}\r\n\r\n`);
  const part = Buffer.alloc(bytes / 20, 'a');
  for (let sent = 0; sent < bytes; sent += part.length) {
    await new Promise<void>((resolve, reject) => socket.write(part, (error) => (error ? reject(error) : resolve())));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [answer] = await once(socket, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1.1 413 /);
  socket.destroy();
});

test('routes and methods that do not exist are told apart', async () => {
  expect((await engine.get('/v2')).status).toBe(404);
  const wrong = await engine.get('/tokenize');
  expect([wrong.status, wrong.headers.allow]).toEqual([405, 'POST']);
  expect((await engine.post('/v1/completions', '{}', { 'content-encoding': 'gzip' })).status).toBe(415);
});

test('a client that leaves while it sends its body leaves nothing behind', async () => {
  const socket = connect(engine.socketPath);
  socket.write('POST /v1/completions HTTP/1.1\r\nhost: engine\r\ncontent-length: 1000\r\n\r\n{"prompt":');
  await once(socket, 'connect');
  socket.destroy();
  expect(await engine.running()).toBe(0);
  expect((await engine.post('/v1/completions', { prompt: 'a' })).status).toBe(200);
});
