import { delimiter, resolve } from 'node:path';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { type Arrangement, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually, freePort } from '../harness/processes.ts';
import { startPrometheus, type TestPrometheus } from './prometheus-server.ts';

const FAKES = resolve(import.meta.dirname, '../engines/bin');

/** What Prometheus is told of at least, so that rates are known. */
const SCRAPES = 3;

/** A mesh that has served, failed and refused, under a Prometheus that scrapes every process of it. */
export interface ScrapedMesh {
  readonly mesh: TestMesh;
  readonly prometheus: TestPrometheus;
  /** The port of metrics alone; only in one process. */
  readonly metricsUrl: string;
  stop(): Promise<void>;
}

/** Starts both: a llama.cpp, a vLLM and a server that is not there. */
export async function startScrapedMesh(arrangement: Arrangement): Promise<ScrapedMesh> {
  const dead = `http://127.0.0.1:${await freePort()}/v1`;
  const models = [
    { name: 'words', engine: 'llama.cpp', model: RANDOM_MODEL, required: true },
    { name: 'chat', engine: 'vllm', model: 'org/chat', devices: [], required: true },
    { name: 'dead', engine: 'openai', model: 'org/dead', base_url: dead },
  ];
  const config = { inference: { models }, quota: { tiers: { standard: { requests_per_minute: 6 } } } };
  const metricsPort = String(await freePort());
  const env = {
    PATH: [FAKES, process.env.PATH].join(delimiter),
    // All processes have one environment.
    ...(arrangement === 'one process' && { METRICS_PORT: metricsPort }),
  };
  const mesh = await startMesh(arrangement, { config, env });
  const targets = [...new Set(mesh.urls.values())].map((url) => new URL(url).host);
  let prometheus: TestPrometheus | undefined;
  const stop = async (): Promise<void> => {
    await prometheus?.stop();
    await mesh.stop();
  };
  try {
    prometheus = await startPrometheus(targets);
    await serve(mesh);
    const { query } = prometheus;
    // Twice: a rate is of what changed between scrapes.
    await eventually('scraped', async () => ((await query('min(count_over_time(up[5m]))'))[0]?.value ?? 0) >= SCRAPES);
    await serve(mesh);
    const seen = (await query('max(timestamp(up))'))[0]?.value ?? 0;
    await eventually('scraped again', async () => ((await query('min(timestamp(up))'))[0]?.value ?? 0) > seen + 2);
    return { mesh, prometheus, metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Requests of all kinds: streams and whole answers, failures, refusals, a model without an engine, a limit. */
async function serve(mesh: TestMesh): Promise<void> {
  const made = await post(mesh, '/generate_apikey', { username: 'ann' });
  const { api_key: key } = (await made.json()) as { api_key: string };
  for (const model of ['words', 'chat', 'words']) {
    for (const stream of [true, false]) {
      await (await post(mesh, '/v1/chat/completions', { ...CHAT, model, stream }, key)).text();
    }
  }
  // The seventh of the minute is one too many.
  for (const model of ['words', 'words'])
    await (await post(mesh, '/v1/chat/completions', { ...CHAT, model }, key)).text();
  for (const model of ['dead', 'unknown']) await (await post(mesh, '/v1/chat/completions', { ...CHAT, model })).text();
  await (await fetch(`${mesh.url}/nothing/here`)).text();
}

const CHAT = { messages: [{ role: 'user', content: 'tell me of the sea' }], max_tokens: 8 };

function post(mesh: TestMesh, path: string, body: object, key: string = mesh.adminKey): Promise<Response> {
  return fetch(mesh.url + path, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}
