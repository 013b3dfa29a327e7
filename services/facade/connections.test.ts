import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { CHAT, event, jsonEvents, KEY, startFacade, type TestFacade, until } from './test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

function rawPost(body: object): string {
  const text = JSON.stringify(body);
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
}

test.each([
  ['before the first token of a stream', true, false],
  ['in mid-stream', true, true],
  ['on a call without a stream', false, true],
])('a client that leaves %s aborts the generation and is logged as 499', async (_when, stream, withDelta) => {
  const lines: string[] = [];
  facade = await startFacade({
    resources: { log: pino({ level: 'info' }, { write: (line) => lines.push(line) }) },
    script: ({ sink }) => {
      if (withDelta) sink.event(event('delta', { text: 'a' }));
    },
  });
  const controller = new AbortController();
  const call = facade.call('/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({ ...CHAT, stream }),
    headers: { 'content-type': 'application/json' },
    signal: controller.signal,
  });
  const gone = expect(call.then((response) => response.text())).rejects.toThrow();
  await until(() => facade.generations.length === 1, 'the generation began');
  controller.abort();
  await gone;
  await until(() => facade.generations[0]?.abortedWith !== undefined, 'the generation was aborted');
  expect(facade.generations[0]?.abortedWith?.reason).toBe('CLIENT_GONE');
  await until(() => lines.length > 0, 'it was logged');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ status: 499, route: '/v1/chat/completions' }]);
  // Whoever still sends finds nobody, and nothing breaks.
  facade.generations[0]?.sink.event(event('delta', { text: 'late' }));
  expect((await facade.call('/healthz')).status).toBe(200);
});

test('a complete answer aborts nothing when its connection closes', async () => {
  facade = await startFacade();
  const response = await facade.post('/v1/chat/completions', CHAT, { connection: 'close' });
  await response.text();
  expect((await facade.call('/healthz')).status).toBe(200);
  expect(facade.generations[0]?.call.signal.aborted).toBe(false);
});

test('text of any script arrives whole, and the connection goes on after a stream', async () => {
  const text = 'é漢🙂\u2028"\\';
  facade = await startFacade({
    script: ({ sink }) => {
      for (let index = 0; index < 3; index += 1) sink.event(event('delta', { text }));
      sink.end();
    },
  });
  const socket = net.connect(facade.port, '127.0.0.1').setEncoding('utf8');
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  socket.write(rawPost({ ...CHAT, stream: true }));
  await until(() => answer.endsWith('[DONE]\n\n\r\n0\r\n\r\n'), 'the stream ended');
  socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await once(socket, 'close');
  expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  const decoded = await (await facade.post('/v1/chat/completions', { ...CHAT, stream: true })).text();
  expect(jsonEvents(decoded)).toMatchObject(Array(3).fill({ choices: [{ delta: { content: text } }] }));
});

test('pipelined requests whose connection breaks are all aborted', async () => {
  facade = await startFacade({ script: () => undefined });
  const socket = net.connect(facade.port, '127.0.0.1');
  socket.write(rawPost({ ...CHAT, stream: true }) + rawPost(CHAT));
  await until(() => facade.generations.length === 2, 'both began');
  socket.destroy();
  await until(
    () => facade.generations.every(({ abortedWith }) => abortedWith?.reason === 'CLIENT_GONE'),
    'both aborted',
  );
});

test('a client that does not read pauses its own generation; reading resumes it and loses nothing', async () => {
  facade = await startFacade({ script: () => undefined });
  const socket = net.connect(facade.port, '127.0.0.1');
  socket.pause();
  socket.write(rawPost({ ...CHAT, stream: true }).replace('host: x', 'host: x\r\nconnection: close'));
  await until(() => facade.generations.length === 1, 'the generation began');
  const [generation] = facade.generations;
  if (!generation) return;
  const { call, sink } = generation;
  // As a source does: it stops when told to.
  let sent = 0;
  const text = 'x'.repeat(16 * 1024);
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  while (!call.flow.paused) {
    sink.event(event('delta', { text }));
    sent += 1;
    await turn();
    expect(sent).toBeLessThan(10_000);
  }
  expect((await facade.call('/healthz')).status).toBe(200);
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  socket.resume();
  await until(() => !call.flow.paused, 'the flow resumed');
  sink.event(event('finished', { reason: 1 }));
  sink.end();
  await once(socket, 'close');
  expect(answer.match(/xxxx"/g)).toHaveLength(sent);
  expect(answer).toContain('data: [DONE]');
});

test('no comments pile up while the client does not read', async () => {
  facade = await startFacade({ script: () => undefined, config: { keep_alive_seconds: 0.01 } });
  const socket = net.connect(facade.port, '127.0.0.1');
  socket.pause();
  socket.write(rawPost({ ...CHAT, stream: true }));
  await until(() => facade.generations.length === 1, 'the generation began');
  const [generation] = facade.generations;
  if (!generation) return;
  while (!generation.call.flow.paused) {
    generation.sink.event(event('delta', { text: 'x'.repeat(64 * 1024) }));
    await new Promise((resolve) => setImmediate(resolve));
  }
  // Fifty times the silence.
  await new Promise((resolve) => setTimeout(resolve, 500));
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  socket.resume();
  await until(() => !generation.call.flow.paused, 'the flow resumed');
  generation.sink.end();
  await until(() => answer.includes('[DONE]'), 'the stream ended');
  expect(answer.split(': keep-alive').length).toBeLessThan(20);
  socket.destroy();
});

test('HTTP/2: streams, errors, limits and a client that leaves', async () => {
  facade = await startFacade({
    protocol: 'h2c',
    script: (generation) => {
      generation.sink.event(event('delta', { text: 'a' }));
      if (generation.request.model === 'short') {
        generation.sink.event(event('finished', { reason: 1 }));
        generation.sink.end();
      }
    },
  });
  const session = http2.connect(facade.url);
  const request = (path: string, body: string | undefined) => {
    const method = body === undefined ? 'GET' : 'POST';
    const stream = session.request({
      ':path': path,
      ':method': method,
      'x-api-key': KEY,
      'content-type': 'application/json',
    });
    stream.end(body);
    return stream;
  };
  const answerOf = async (stream: http2.ClientHttp2Stream) => {
    let text = '';
    const [headers] = await once(stream, 'response');
    for await (const chunk of stream) text += chunk;
    return { status: headers[':status'], headers, text };
  };

  const stream = await answerOf(
    request('/v1/chat/completions', JSON.stringify({ ...CHAT, model: 'short', stream: true })),
  );
  expect(stream.headers['content-type']).toContain('text/event-stream');
  expect(jsonEvents(stream.text)).toHaveLength(2);
  expect(stream.text.endsWith('data: [DONE]\n\n')).toBe(true);
  const whole = await answerOf(request('/v1/chat/completions', JSON.stringify({ ...CHAT, model: 'short' })));
  expect(JSON.parse(whole.text)).toMatchObject({ choices: [{ message: { content: 'a' } }] });
  expect((await answerOf(request('/v1/chat/completions', '{'))).status).toBe(400);
  expect((await answerOf(request('/v1/nope', undefined))).status).toBe(404);
  const big = await answerOf(request('/v1/chat/completions', JSON.stringify({ ...CHAT, pad: 'x'.repeat(11 << 20) })));
  expect(big.status).toBe(413);

  const left = request('/v1/chat/completions', JSON.stringify({ ...CHAT, stream: true }));
  await once(left, 'data');
  left.close(http2.constants.NGHTTP2_CANCEL);
  await until(() => facade.generations.at(-1)?.abortedWith?.reason === 'CLIENT_GONE', 'the generation was aborted');
  facade.generations.at(-1)?.sink.event(event('delta', { text: 'late' }));
  expect((await answerOf(request('/healthz', undefined))).status).toBe(200);
  session.close();
});

test('HTTP/2: a client that does not read pauses its own generation', async () => {
  facade = await startFacade({ protocol: 'h2c', script: () => undefined });
  const session = http2.connect(facade.url);
  const stream = session.request({
    ':path': '/v1/chat/completions',
    ':method': 'POST',
    'x-api-key': KEY,
    'content-type': 'application/json',
  });
  stream.end(JSON.stringify({ ...CHAT, stream: true }));
  stream.pause();
  await until(() => facade.generations.length === 1, 'the generation began');
  const [generation] = facade.generations;
  if (!generation) return;
  for (let sent = 0; !generation.call.flow.paused; sent += 1) {
    generation.sink.event(event('delta', { text: 'x'.repeat(16 * 1024) }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent).toBeLessThan(1000);
  }
  stream.resume();
  await until(() => !generation.call.flow.paused, 'the flow resumed');
  session.destroy();
});
