import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { OpenAiConnection } from '../engines/openai-connection.ts';
import { EngineTexts, type ToldEngine } from './engine-texts.ts';
import { readExposition } from './exposition.ts';

const VLLM = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/m"} 3.0
# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="a \\"b\\" {c}"} 0.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="a \\"b\\" {c}"} 2.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="a \\"b\\" {c}"} 2.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="a \\"b\\" {c}"} 0.5
`;
const LLAMA = '# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 1\n';

const closers: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** An engine with that answer to `GET /metrics`; undefined: it never answers. */
async function engine(name: string, answer: () => string | undefined): Promise<ToldEngine & { asked: () => number }> {
  let asked = 0;
  const server = http.createServer((_request, response) => {
    asked += 1;
    const text = answer();
    if (text !== undefined) response.end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseUrl = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
  const dialect = { engine: name, capabilities: create(EngineCapabilitiesSchema), continuousUsage: false };
  const connection = new OpenAiConnection({ baseUrl }, dialect);
  closers.push(
    () => server.closeAllConnections(),
    () => server.close(),
    () => connection.close(),
  );
  return { name, connection, asked: () => asked };
}

const taken = (name: string): boolean => name === 'mesh_engine_state';

test('metrics of all engines come under one prefix, each name once, with node and engine', async () => {
  const engines = [await engine('chat', () => VLLM), await engine('code', () => VLLM + LLAMA)];
  const text = await new EngineTexts('gpu-1', () => engines, taken).text();
  expect(text).toContain(
    'mesh_engine_vllm_num_requests_running{node="gpu-1",engine="chat",exported_engine="0",model_name="org/m"} 3.0\n' +
      'mesh_engine_vllm_num_requests_running{node="gpu-1",engine="code",exported_engine="0",model_name="org/m"} 3.0\n',
  );
  expect(text.match(/# TYPE mesh_engine_vllm_num_requests_running gauge/g)).toHaveLength(1);
  expect(text).toContain('# TYPE mesh_engine_vllm_time_to_first_token_seconds histogram');
  expect(text).toContain('exported_engine="0",le="+Inf",model_name="a \\"b\\" {c}"} 2.0');
  expect(text).toContain('mesh_engine_llamacpp_requests_processing{node="gpu-1",engine="code"} 1\n');
});

test('an engine that does not answer holds nobody up, and is asked once at a time', async () => {
  const stuck = await engine('stuck', () => undefined);
  const texts = new EngineTexts('n', () => [stuck, well], taken);
  const well = await engine('well', () => LLAMA);
  const beganMs = performance.now();
  for (let scrape = 0; scrape < 3; scrape += 1) {
    expect(await texts.text()).toContain('mesh_engine_llamacpp_requests_processing{node="n",engine="well"} 1');
  }
  // The stuck one is given five seconds; three scrapes together are over before.
  expect(performance.now() - beganMs).toBeLessThan(5_000);
  expect(stuck.asked()).toBe(1);
});

test('what an engine told last is told while it is busy, and not after a restart', async () => {
  let answer: string | undefined = LLAMA;
  const engines: ToldEngine[] = [await engine('chat', () => answer)];
  const texts = new EngineTexts('n', () => engines, taken);
  expect(await texts.text()).toContain('requests_processing');
  answer = undefined;
  expect(await texts.text()).toContain('requests_processing');
  engines[0] = await engine('chat', () => undefined);
  expect(await texts.text()).toBe('');
});

test('an engine that tells none is left alone for a while', async () => {
  const silent = await engine('chat', () => '');
  const texts = new EngineTexts('n', () => [silent], taken);
  for (let scrape = 0; scrape < 3; scrape += 1) expect(await texts.text()).toBe('');
  expect(silent.asked()).toBe(1);
});

test('whatever an engine writes, the answer stays Prometheus’ format, and our own names stay ours', async () => {
  const bad = [
    'state 1',
    'no_value',
    'broken{a="b 1',
    'broken{a=b} 1',
    'html <html>',
    'injected 1\r',
    'fine{x="1"} 2 1700000000',
    '{} 1',
    'mesh_up{__name__="x"} NaN',
  ].join('\n');
  const odd = await engine('a"b\\c', () => bad);
  const text = await new EngineTexts('n', () => [odd], taken).text();
  const own = 'node="n",engine="a\\"b\\\\c"';
  expect(text.split('\n').filter((line) => line && !line.startsWith('#'))).toEqual([
    `mesh_engine_injected{${own}} 1`,
    `mesh_engine_fine{${own},x="1"} 2`,
  ]);
});

test('no more samples than the bound are taken', () => {
  const text = Array.from({ length: 50 }, (_, at) => `x{a="${at}"} 1`).join('\n');
  expect(readExposition(text, 7)[0]?.samples).toHaveLength(7);
});
