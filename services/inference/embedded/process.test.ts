import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import {
  type EmbeddedEngine,
  RANDOM_MODEL,
  responseOf,
  spawnEmbeddedEngine,
  startEmbeddedEngine,
  until,
} from '../../../test/fixtures/embedded-engine.ts';
import { createEngineServer } from './http-server.ts';

const started: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const engine of started.splice(0)) await engine.stop();
});
async function start(args: readonly string[] = [], env: Record<string, string> = {}): Promise<EmbeddedEngine> {
  const engine = await startEmbeddedEngine(args, env);
  started.push(engine);
  return engine;
}

test('it tells its loading and then, once, what it serves', async () => {
  const engine = await start(['--sequences', '3', '--context', '1024']);
  const { events } = engine;
  expect(events.filter(({ event }) => event === 'loading').at(-1)).toEqual({ event: 'loading', percent: 100 });
  expect(events.filter(({ event }) => event === 'ready')).toEqual([
    { event: 'ready', model: 'random-model', device: 'cpu', contextTokens: 1024, sequences: 3, threads: 1 },
  ]);
  const health = await engine.get('/health');
  expect(JSON.parse(health.text)).toEqual({ status: 'ok', requests_running: 0, requests_waiting: 0 });
});

test('while the model loads health says so and work is refused with a time to come back', async () => {
  const server = createEngineServer({ engine: () => undefined, apiKey: undefined });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect((await fetch(`${base}/health`)).status).toBe(503);
  const refused = await fetch(`${base}/v1/completions`, { method: 'POST', body: '{}' });
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  server.close();
});

test('with a key every route but health asks for it', async () => {
  const engine = await start(['--api-key-env', 'ENGINE_KEY'], { ENGINE_KEY: 'correct' });
  expect((await engine.get('/health')).status).toBe(200);
  expect((await engine.get('/v1/models')).status).toBe(401);
  expect((await engine.get('/metrics')).status).toBe(401);
  expect((await engine.get('/v1/models', { authorization: 'Bearer wrong' })).status).toBe(401);
  expect((await engine.get('/v1/models', { authorization: 'Bearer correct' })).status).toBe(200);
});

test('a key that is announced and missing stops the start', async () => {
  const engine = await spawnEmbeddedEngine(['--model', RANDOM_MODEL, '--api-key-env', 'NO_SUCH_KEY']);
  started.push(engine);
  const [code] = await once(engine.process, 'exit');
  expect(code).toBe(1);
  expect(engine.stderr()).toMatch(/^[^\n]*NO_SUCH_KEY[^\n]*\n$/);
});

const damaged = join(tmpdir(), `embedded-damaged-${process.pid}.gguf`);
test.each([
  ['a missing file', '/nonexistent/model.gguf', /no such file/],
  ['another kind of file', import.meta.filename, /does not begin with "GGUF"/],
  ['a file that is cut off', damaged, /embedded-damaged.*: llama_model_load.*(corrupt|bounds)/],
])('%s ends the start with one line', async (_name, path, message) => {
  await writeFile(damaged, readFileSync(RANDOM_MODEL).subarray(0, 100_000));
  const engine = await spawnEmbeddedEngine(['--model', path]);
  started.push(engine);
  const [code] = await once(engine.process, 'exit');
  expect(code).toBe(1);
  expect(engine.stderr()).toMatch(/^[^\n]+\n$/);
  expect(engine.stderr()).toMatch(message);
  expect(engine.events.some(({ event }) => event === 'ready')).toBe(false);
});

test.each([
  ['--threads', 'many'],
  ['--sequences', '0'],
  ['--gpu', 'tpu'],
  ['--unknown', '1'],
])('a bad %s is named', async (flag, value) => {
  const engine = await spawnEmbeddedEngine(['--model', RANDOM_MODEL, flag, value]);
  started.push(engine);
  expect((await once(engine.process, 'exit'))[0]).toBe(1);
  expect(engine.stderr()).toContain(flag);
});

test('a socket that a killed predecessor left behind is no obstacle', async () => {
  const first = await start();
  first.process.kill('SIGKILL');
  await once(first.process, 'exit');
  expect(existsSync(first.socketPath)).toBe(true);
  const second = await start(['--socket', first.socketPath]);
  expect(second.events.at(-1)).toMatchObject({ event: 'ready' });
});

test('SIGTERM ends it with 0 in the middle of streams and takes the socket away', async () => {
  const engine = await start();
  const body = { prompt: 'the river', max_tokens: 4000, temperature: 0, stream: true };
  const streams = [1, 2, 3].map(() => engine.open('/v1/completions', body));
  // All listen at once: whose answer begins first is not certain, and an answer that nobody listens for is dropped.
  for (const response of await Promise.all(streams.map(responseOf))) response.resume().on('error', () => {});
  await until(async () => (await engine.running()) === 3);
  engine.process.kill('SIGTERM');
  expect(await once(engine.process, 'exit')).toEqual([0, null]);
  expect(existsSync(engine.socketPath)).toBe(false);
});
