import { chmodSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMIT, type FakeHub, startFakeHub } from '../../../test/harness/fake-hub.ts';
import { eventually } from '../../../test/harness/processes.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { engineFor } from '../engines/catalogue.ts';
import type { EngineLaunch } from '../engines/engine.ts';
import { HUB_ENGINES } from '../engines/installed.ts';
import { type ModelEntry, modelEntrySchema } from '../engines/model-entry.ts';
import { type LoadRequest, type LoadSource, modelSource } from './model-source.ts';

const TOKEN = 'hf_aVerySecretTokenOfACaller';
const WEIGHTS = Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(300_000, 7)]);

let dataDir: string;
let hub: FakeHub | undefined;
let log: string[];
let variables: Record<string, string>;

beforeEach(() => {
  dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'mesh-source-')));
  mkdirSync(join(dataDir, 'models'));
  log = [];
  variables = {};
});
afterEach(async () => {
  await hub?.stop();
  hub = undefined;
  rmSync(dataDir, { recursive: true });
});

function source(request: Partial<LoadRequest>, ...configured: Record<string, unknown>[]): Promise<LoadSource> {
  const entries = configured.map((entry) => modelEntrySchema.parse(entry));
  return modelSource(
    { model: '', device: '', hfToken: '', ...request },
    {
      entryOf: (name) => entries.find((entry) => entry.name === name),
      dataDir,
      environmentVariable: (name) => variables[name],
      log: pino({ level: 'trace' }, { write: (line: string) => void log.push(line) }),
      now: Date.now,
      firstRetryMs: 1,
    },
  );
}

type Told = [stage: string, percent: number | undefined];

async function entryOf(
  found: LoadSource,
  told: Told[] = [],
  signal = new AbortController().signal,
): Promise<ModelEntry> {
  return await found.entry(signal, (...progress) => told.push(progress));
}

/** Puts a file below the model directory. */
function keep(path: string, content: Buffer | string = WEIGHTS): string {
  const full = join(dataDir, 'models', path);
  writeFileSync(full, content);
  return full;
}

/** Puts programs on PATH. */
function install(...programs: string[]): void {
  variables.PATH = join(dataDir, 'bin');
  mkdirSync(variables.PATH);
  for (const program of programs) {
    writeFileSync(join(variables.PATH, program), '#!/bin/sh\n');
    chmodSync(join(variables.PATH, program), 0o755);
  }
}

async function startHub(files: Record<string, Buffer> = { 'a-Q4_K_M.gguf': WEIGHTS }): Promise<FakeHub> {
  hub = await startFakeHub(files);
  variables.HF_ENDPOINT = hub.endpoint;
  return hub;
}

function launchOf(entry: ModelEntry): EngineLaunch {
  const setting = {
    runDirectory: dataDir,
    nodePath: 'node',
    gpu: 'auto',
    environmentVariable: () => undefined,
  } as const;
  const { launch } = engineFor(entry).connect(setting, { devices: [], ports: [1, 2, 3] });
  if (!launch) throw new Error('it starts nothing');
  return launch;
}

async function refusal(work: Promise<unknown>): Promise<MeshError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof MeshError) return error;
  throw new Error(`no MeshError: ${error}`);
}

describe('a name', () => {
  test('that is configured is the entry, also where a file or a model of the hub has the same', async () => {
    keep('a.gguf');
    install('vllm');
    const chat = { name: 'a.gguf', engine: 'llama.cpp', model: '/models/other.gguf', max_model_len: 512 };
    const found = await source({ model: 'a.gguf' }, chat);
    expect(found.name).toBe('a.gguf');
    expect(await entryOf(found)).toEqual(modelEntrySchema.parse(chat));
    const remote = { name: 'user/model', engine: 'openai', base_url: 'http://127.0.0.1:1/v1' };
    expect(await entryOf(await source({ model: 'user/model', device: 'auto' }, remote))).toMatchObject({
      engine: 'openai',
    });
    expect(await entryOf(await source({ model: 'a.gguf' }))).toMatchObject({
      model: join(dataDir, 'models', 'a.gguf'),
    });
  });

  test('of a GGUF file below the model directory goes to the embedded engine', async () => {
    const path = keep('a.gguf');
    for (const model of ['a.gguf', path]) {
      const found = await source({ model });
      expect(found.name).toBe(model);
      expect(await entryOf(found)).toMatchObject({ name: model, engine: 'llama.cpp', model: path });
    }
  });

  test.each(['../a.gguf', '/etc/passwd', '/etc/a.gguf', 'none.gguf', 'https://example.com/a.gguf', '..', '', 'a b'])(
    '%j is refused by name',
    async (model) => {
      keep('../a.gguf');
      expect(await refusal(source({ model }))).toMatchObject({
        reason: 'INVALID_FIELD',
        metadata: { field: 'model' },
      });
    },
  );

  test('of the hub goes to the first engine that is installed, and loads no pickled weights there', async () => {
    install('transformers', 'vllm');
    const entry = await entryOf(await source({ model: 'user/model' }));
    expect(entry).toMatchObject({ name: 'user/model', engine: 'vllm', model: 'user/model' });
    expect(launchOf(entry).args.join(' ')).toContain('--load-format safetensors');
    rmSync(join(variables.PATH ?? '', 'vllm'));
    expect(await entryOf(await source({ model: 'gpt2' }))).toMatchObject({ name: 'gpt2', engine: 'transformers' });
  });

  test('of the hub without an engine for it says what to install', async () => {
    const { message, metadata } = await refusal(source({ model: 'user/model' }));
    expect(metadata).toEqual({ field: 'model' });
    for (const { product, program } of HUB_ENGINES) {
      expect(message).toContain(product);
      expect(message).toContain(program);
    }
  });

  test('of the hub that is a directory here is refused: an engine would load that', async () => {
    install('vllm');
    expect(await refusal(source({ model: 'services/inference' }))).toMatchObject({
      reason: 'INVALID_FIELD',
      message: expect.stringContaining('working directory'),
    });
  });
});

describe('a device', () => {
  const vllm = { name: 'chat', engine: 'vllm', model: 'user/model' };
  const split = { ...vllm, tensor_parallel_size: 2, pipeline_parallel_size: 2 };
  const gguf = { name: 'chat', engine: 'llama.cpp', model: '/models/a.gguf' };

  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['', { ...vllm, devices: [3] }, { devices: [3] }],
    ['auto', { ...vllm, devices: [3] }, { devices: [3] }],
    ['auto', gguf, { devices: undefined, cudaOnly: undefined }],
    ['cpu', { ...vllm, devices: [3] }, { devices: [] }],
    ['cpu', split, { devices: [], tensor_parallel_size: undefined, pipeline_parallel_size: undefined }],
    ['cpu', gguf, { devices: [] }],
    ['cuda', { ...vllm, devices: [3] }, { devices: [3] }],
    ['cuda', split, { devices: undefined, tensor_parallel_size: 2 }],
    ['cuda', { ...gguf, devices: [] }, { devices: undefined, cudaOnly: true }],
    ['cuda', gguf, { devices: undefined, cudaOnly: true }],
    ['cuda:1', { ...vllm, devices: [3] }, { devices: [1] }],
    ['cuda:1', gguf, { devices: [1] }],
    ['cuda:12', { ...gguf, devices: [] }, { devices: [12] }],
    ['cuda:1', { name: 'chat', engine: 'ollama', model: 'm' }, { devices: [1] }],
  ])('%j is laid over %j', async (device, configured, expected) => {
    const entry: Record<string, unknown> = { ...(await entryOf(await source({ model: 'chat', device }, configured))) };
    for (const [field, value] of Object.entries(expected)) expect(entry[field], field).toEqual(value);
    expect(entry.model).toBe(configured.model);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['gpu', gguf, 'must be auto, cpu, cuda or cuda:<index>'],
    ['cuda:', gguf, 'must be'],
    ['cuda:-1', gguf, 'must be'],
    ['cuda:1000', gguf, 'must be'],
    ['cuda:0\n', gguf, 'must be'],
    ['cpu', { name: 'chat', engine: 'openai', base_url: 'http://127.0.0.1:1/v1' }, 'a server elsewhere'],
    ['cuda', { name: 'chat', engine: 'ollama', model: 'm', base_url: 'http://127.0.0.1:1' }, 'a server elsewhere'],
    ['cuda:0', { ...vllm, ray_address: 'auto', devices: [0] }, 'a Ray cluster'],
    ['cuda:0', split, 'split over 4 devices'],
    ['cuda:0', { ...vllm, devices: [0, 1] }, 'split over 2 devices'],
    ['cuda:0', { name: 'chat', engine: 'tgi', model: 'm', tensor_parallel_size: 2 }, 'split over 2 devices'],
  ])('%j is refused for %j', async (device, configured, words) => {
    expect(await refusal(source({ model: 'chat', device }, configured))).toMatchObject({
      reason: 'INVALID_FIELD',
      message: expect.stringContaining(words),
      metadata: { field: 'device' },
    });
  });

  test('"cuda" keeps an engine from the CPU that would fall back to it', async () => {
    const model = keep('a.gguf', readFileSync(new URL('../../../test/fixtures/random-model.gguf', import.meta.url)));
    const transformers = { name: 'chat', engine: 'transformers', model: '/none' };
    for (const configured of [{ ...gguf, model }, transformers]) {
      const anywhere = engineFor(await entryOf(await source({ model: 'chat' }, configured)));
      expect(await anywhere.demand()).toMatchObject({ fallsBackToCpu: true });
      const onCuda = engineFor(await entryOf(await source({ model: 'chat', device: 'cuda' }, configured)));
      expect(await onCuda.demand()).toMatchObject({ count: 1, fallsBackToCpu: false });
    }
    const args = launchOf(await entryOf(await source({ model: 'a.gguf', device: 'cuda' }))).args.join(' ');
    expect(args).toContain('--gpu cuda');
    expect(launchOf(await entryOf(await source({ model: 'a.gguf' }))).args.join(' ')).toContain('--gpu auto');
    const onCpu = await entryOf(await source({ model: 'a.gguf', device: 'cpu' }));
    expect(await engineFor(onCpu).demand()).toBeUndefined();
    expect(launchOf(onCpu).args.join(' ')).toContain('--gpu none');
  });
});

describe('a token', () => {
  test.each(HUB_ENGINES)(
    'reaches the environment of $engine, masked in its log, and no argument',
    async ({ engine }) => {
      const configured = {
        name: 'chat',
        engine,
        model: 'user/model',
        env: { HF_TOKEN: 'hf_of_the_operator', OTHER: 'x' },
      };
      const entry = await entryOf(await source({ model: 'chat', hfToken: TOKEN }, configured));
      const { environment, secrets, args } = launchOf(entry);
      expect(environment).toMatchObject({ HF_TOKEN: TOKEN, OTHER: 'x' });
      expect(secrets).toContain(TOKEN);
      expect(args.join(' ')).not.toContain(TOKEN);
      expect(log.join('')).not.toContain(TOKEN);
      const without = await entryOf(await source({ model: 'chat' }, configured));
      expect(launchOf(without).environment).toMatchObject({ HF_TOKEN: 'hf_of_the_operator' });
    },
  );

  test('is not given to the embedded engine, which fetches nothing', async () => {
    keep('a.gguf');
    const entry = await entryOf(await source({ model: 'a.gguf', hfToken: TOKEN }));
    expect(JSON.stringify([entry, launchOf(entry)])).not.toContain(TOKEN);
  });

  test.each([
    ['of a server elsewhere', TOKEN, { name: 'a.gguf', engine: 'openai', base_url: 'http://127.0.0.1:1/v1' }],
    ['with a line break', `${TOKEN}\nX-Other: 1`, undefined],
    ['with a NUL', `${TOKEN}\0`, undefined],
    ['with a space', `hf ${TOKEN}`, undefined],
    ['so short that logs could not mask it', 'hf_1234', undefined],
  ])('%s is refused without being quoted', async (_what, hfToken, configured) => {
    keep('a.gguf');
    const error = await refusal(source({ model: 'a.gguf', hfToken }, ...(configured ? [configured] : [])));
    expect(error).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'hf_token' } });
    expect(error.message).not.toContain(hfToken);
  });
});

describe('a file of the hub', () => {
  test('is fetched with progress, and the token goes to the hub alone', async () => {
    const { requests } = await startHub();
    const found = await source({ model: 'hf:user/model', hfToken: TOKEN });
    expect(found.name).toBe('hf:user/model');
    expect(requests).toEqual([]);
    const told: Told[] = [];
    const entry = await entryOf(found, told);
    const path = join(dataDir, 'models', 'user--model', 'a-Q4_K_M.gguf');
    expect(entry).toMatchObject({ name: 'hf:user/model', engine: 'llama.cpp', model: path });
    expect(readFileSync(path)).toEqual(WEIGHTS);
    expect(told[0]?.[0]).toBe('downloading');
    for (const stage of ['downloading', 'verifying']) {
      const percents = told.filter(([name]) => name === stage).map(([, percent]) => percent ?? -1);
      expect(percents.at(-1)).toBe(100);
      expect(percents).toEqual([...new Set(percents)].sort((one, other) => one - other));
    }
    const seen = (server: string) => new Set(requests.filter((r) => r.server === server).map((r) => r.authorization));
    expect(seen('hub')).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(seen('content')).toEqual(new Set([undefined]));
    expect(JSON.stringify([entry, launchOf(entry)])).not.toContain(TOKEN);
    expect(log.join('')).not.toContain(TOKEN);
  });

  test('that is here asks nobody; that of an entry is fetched too', async () => {
    const { requests } = await startHub();
    await entryOf(await source({ model: 'hf:user/model' }));
    const asked = requests.length;
    const told: Told[] = [];
    const configured = { name: 'chat', engine: 'llama.cpp', model: 'hf:user/model', max_model_len: 512 };
    expect(await entryOf(await source({ model: 'chat', device: 'cpu' }, configured), told)).toMatchObject({
      name: 'chat',
      max_model_len: 512,
      devices: [],
      model: join(dataDir, 'models', 'user--model', 'a-Q4_K_M.gguf'),
    });
    expect(requests).toHaveLength(asked);
    expect(told).toEqual([]);
  });

  test('without a token of the caller is asked for with that of the environment', async () => {
    const { requests } = await startHub();
    variables.HF_TOKEN = 'hf_of_the_environment';
    await entryOf(await source({ model: 'hf:user/model' }));
    expect(requests[0]?.authorization).toBe('Bearer hf_of_the_environment');
    await entryOf(await source({ model: 'hf:user/model:q4_k_m', hfToken: TOKEN }));
    expect(requests.findLast(({ server }) => server === 'hub')?.authorization).toBe(`Bearer ${TOKEN}`);
  });

  test('in parts tells how far all of them together are', async () => {
    const parts = [1, 2, 3].map((part) => `big-Q8_0-0000${part}-of-00003.gguf`);
    await startHub(Object.fromEntries(parts.map((path) => [path, WEIGHTS])));
    const told: Told[] = [];
    await entryOf(await source({ model: 'hf:user/model' }), told);
    const ends = told.filter(([stage]) => stage === 'verifying').map(([, percent]) => percent);
    expect(ends).toEqual(expect.arrayContaining([33, 66, 100]));
    expect(told.findIndex(([, percent]) => percent === 100)).toBeGreaterThan(told.findIndex(([, p]) => p === 66));
  });

  test('is not fetched to its end when the load is ended', async () => {
    const { script, transfers } = await startHub();
    script.stallAfterBytes = 1_000;
    const ending = new AbortController();
    const fetching = entryOf(await source({ model: 'hf:user/model' }), [], ending.signal);
    fetching.catch(() => {});
    await eventually('it fetches', () => transfers().length === 1);
    const reason = new MeshError('SHUTTING_DOWN', 'The server is shutting down.');
    ending.abort(reason);
    await expect(fetching).rejects.toBe(reason);
  });

  test.each([
    [401, '', 'model', 'set hf_token or HF_TOKEN'],
    [401, TOKEN, 'hf_token', 'hf_token is not valid or may not read the repository'],
    [403, TOKEN, 'hf_token', 'hf_token is not valid'],
    [404, '', 'model', 'has no such repository or file (404)'],
  ])('that the hub refuses (%d, token "%s") is a wrong %s', async (status, hfToken, field, words) => {
    const { script, endpoint } = await startHub();
    script.refusals = { status, times: 1 };
    const error = await refusal(entryOf(await source({ model: 'hf:user/model', hfToken })));
    expect(error).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field } });
    expect(error.message).toContain(`${field}: the hub`);
    expect(error.message).toContain(words);
    for (const hidden of [endpoint, new URL(endpoint).host, dataDir, TOKEN])
      expect(error.message).not.toContain(hidden);
    expect(log.join('')).not.toContain(TOKEN);
  });

  test('in a quantization that is not there says which are', async () => {
    await startHub();
    expect(await refusal(entryOf(await source({ model: 'hf:user/model:Q2_K' })))).toMatchObject({
      reason: 'INVALID_FIELD',
      message: "model: the repository has no quantization 'Q2_K'; it has Q4_K_M",
    });
  });

  test('at an address of the configuration is fetched without any token', async () => {
    const { endpoint, requests } = await startHub();
    const model = `${endpoint}/user/model/resolve/${COMMIT}/a-Q4_K_M.gguf`;
    const configured = { name: 'chat', engine: 'llama.cpp', model };
    const entry = await entryOf(await source({ model: 'chat', hfToken: TOKEN }, configured));
    expect(entry).toMatchObject({ model: expect.stringMatching(/models\/address\+.*\/a-Q4_K_M\.gguf$/) });
    expect(requests.map(({ authorization }) => authorization).filter(Boolean)).toEqual([]);
  });

  test.each(['hf:user/other', 'ADDRESS'])(
    'that the configuration names and nobody has is no fault of the caller (%s)',
    async (model) => {
      const { endpoint } = await startHub();
      if (model === 'ADDRESS') variables.HF_ENDPOINT = 'http://127.0.0.1:1';
      const configured = { name: 'chat', engine: 'llama.cpp', model: model.replace('ADDRESS', `${endpoint}/a.gguf`) };
      const error = await refusal(entryOf(await source({ model: 'chat' }, configured)));
      expect(error).toMatchObject({ reason: 'NO_HEALTHY_ENGINE', retryAfterMs: undefined });
      expect(error.message).toContain('404');
      expect(error.message).not.toContain(new URL(endpoint).host);
    },
  );

  test('of a hub that is not there, or may not be asked, may be tried again; no path or address is told', async () => {
    const { endpoint, stop } = await startHub();
    await stop();
    hub = undefined;
    const load = async () => refusal(entryOf(await source({ model: 'hf:user/model', hfToken: TOKEN })));
    const gone = await load();
    expect(gone).toMatchObject({ reason: 'NO_HEALTHY_ENGINE', retryAfterMs: 1_000 });
    expect(gone.message).toMatch(/^The files of the model could not be had: the hub cannot be reached .*HF_ENDPOINT/);
    variables.HF_HUB_OFFLINE = '1';
    const offline = await load();
    expect(offline).toMatchObject({ reason: 'NO_HEALTHY_ENGINE', retryAfterMs: undefined });
    expect(offline.message).toContain('is not in the model directory/user--model, and HF_HUB_OFFLINE forbids');
    variables.HF_ENDPOINT = 'http://user:password@hub';
    const wrong = await load();
    expect(wrong.message).toContain('HF_ENDPOINT: expected');
    for (const { message } of [gone, offline, wrong]) {
      for (const hidden of [new URL(endpoint).host, dataDir, TOKEN, 'password@']) expect(message).not.toContain(hidden);
    }
    expect(log.join('')).not.toContain(TOKEN);
  });
});
