import { expect } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { type MeshOptions, startMesh, type TestMesh } from '../harness/mesh.ts';
import type { RestAnswer, RestCall, RestClient } from '../harness/rest-clients.ts';

/** A mesh in one process with fake engines, by the names of their models. */
export interface CompatMesh {
  readonly mesh: TestMesh;
  engine(name: string): FakeEngine;
  stop(): Promise<void>;
}

/** Starts one; `models` are the names of the models with their ids, the first is the default one. */
export async function startCompatMesh(
  models: Readonly<Record<string, string>>,
  { config, ...options }: MeshOptions = {},
): Promise<CompatMesh> {
  const engines = new Map<string, FakeEngine>();
  for (const [name, id] of Object.entries(models)) engines.set(name, await startEngineOf(id));
  const entries = [...engines].map(([name, { baseUrl }]) => ({
    ...{ name, engine: 'openai', base_url: baseUrl, model: models[name], required: true },
  }));
  const stopEngines = () => Promise.all([...engines.values()].map((engine) => engine.stop()));
  try {
    const mesh = await startMesh('one process', { ...options, config: { inference: { models: entries }, ...config } });
    return {
      mesh,
      engine(name) {
        const engine = engines.get(name);
        if (!engine) throw new Error(`no engine '${name}'`);
        return engine;
      },
      async stop() {
        await mesh.stop();
        await stopEngines();
      },
    };
  } catch (error) {
    await stopEngines();
    throw error;
  }
}

/** Starts a fake engine that goes on telling that it has a model, whatever else it is to do. */
export async function startEngineOf(model: string): Promise<FakeEngine> {
  const engine = await startFakeEngine({ models: [model] });
  return { ...engine, script: (script) => engine.script({ models: [model], ...script }) };
}

/** Sends calls to one address with one credential. */
export type Caller = (
  endpoint: string,
  call?: Omit<RestCall, 'method' | 'url'>,
) => Promise<RestAnswer & { readonly json: unknown }>;

/** Makes a Caller; an endpoint is e.g. "POST /chat". `json` is undefined for what is none. */
export function callerOf(client: RestClient, url: string, credential: Readonly<Record<string, string>> = {}): Caller {
  return async (endpoint, call = {}) => {
    const [method = '', path = ''] = endpoint.split(' ');
    const answer = await client.send({ ...call, method, url: url + path, headers: { ...credential, ...call.headers } });
    return { ...answer, json: jsonOf(answer) };
  };
}

function jsonOf({ headers, text }: RestAnswer): unknown {
  return text !== '' && headers['content-type']?.startsWith('application/json') ? JSON.parse(text) : undefined;
}

/** What stands for a limit that there is not. */
export const NO_LIMIT = 2_147_483_647;

/** What limits a caller by requests, with what is left of it; unset: nothing. */
export interface RequestLimits {
  readonly minute?: readonly [maximum: number, remaining: number];
  readonly hour?: readonly [maximum: number, remaining: number];
}

/** Expects all rate-limit headers; numbers of requests as given, those of tokens as numbers. */
export function expectRateHeaders({ headers }: RestAnswer, limits?: RequestLimits): void {
  const told = Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-ratelimit-')));
  const number = expect.stringMatching(/^\d+$/);
  const duration = expect.stringMatching(/^(0s|[\d.]+ms|[\d.]+s|(\d+h)?\d+m\d+s)$/);
  const [minute, minuteLeft] = limits ? (limits.minute ?? [NO_LIMIT, NO_LIMIT]).map(String) : [number, number];
  const [hour, hourLeft] = limits ? (limits.hour ?? [NO_LIMIT, NO_LIMIT]).map(String) : [number, number];
  expect(told).toEqual({
    'x-ratelimit-limit-minute': minute,
    'x-ratelimit-remaining-minute': minuteLeft,
    'x-ratelimit-limit-hour': hour,
    'x-ratelimit-remaining-hour': hourLeft,
    'x-ratelimit-limit-requests': number,
    'x-ratelimit-remaining-requests': number,
    'x-ratelimit-reset-requests': duration,
    'x-ratelimit-limit-tokens': number,
    'x-ratelimit-remaining-tokens': number,
    'x-ratelimit-reset-tokens': duration,
  });
}

/** The `data` of the events of a stream, parsed where it is JSON. */
export function eventsOf({ text }: RestAnswer): unknown[] {
  const data = text.split('\n').filter((line) => line.startsWith('data: '));
  return data.map((line) => line.slice(6)).map((one) => (one.startsWith('{') ? JSON.parse(one) : one));
}
