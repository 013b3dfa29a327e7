import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHashQueue } from '../../services/auth/hash-queue.ts';
import { createPasswords } from '../../services/auth/password.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { scripted } from '../engines/kit/fault-script.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { type Canary, randomCanary, type Sighting, sightings } from '../harness/canaries.ts';
import { callRoute, everyCall, type RawAnswer } from '../harness/every-call.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { filesBelow, processRemains, type Remains, redisRemains } from '../harness/remains.ts';
import { type SpanReceiver, startSpanReceiver } from '../traces/span-receiver.ts';

const FAKES = resolve(import.meta.dirname, '../engines/bin');
const main = resolve(import.meta.dirname, '../../services/main.ts');

/** Secrets that are the whole of a file which says so in its name, and what the test itself wrote. */
const SECRET_FILES = ['admin.key', 'pepper', 'mesh.token', 'mesh.json'];

/** Every phase calls everything, some of it into the void, on a machine that may do other work. */
const PHASE_MS = 170_000;

/** Texts that only their owner may see. */
const SECRET = {
  environmentKey: randomCanary('sk-'),
  password: randomCanary('Pw-'),
  redisPassword: randomCanary('rp'),
  hubToken: randomCanary('hf_'),
  loadToken: randomCanary('hf_'),
  engineKey: randomCanary('ek'),
  engineVariable: randomCanary('ev'),
  unknownKey: randomCanary('uk'),
  prompt: randomCanary('prompt'),
  completion: randomCanary('completion'),
};

/** What engines are given by design, in their own environment. */
const FOR_ENGINES = ['hubToken', 'loadToken', 'engineVariable'];

describe.each(arrangements())('nothing that is secret is seen anywhere, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  let receiver: SpanReceiver;
  let canaries: Canary[];
  let keyHeaders: Record<string, string>;
  const seen: Sighting[] = [];

  beforeAll(async () => {
    engine = await startFakeEngine({ tokens: 3, texts: [SECRET.completion], models: ['attached'] });
    receiver = await startSpanReceiver();
    const passwords = createPasswords(createHashQueue({ running: 1, waiting: 1 }));
    const startLines = [`the key is ${SECRET.engineVariable} for \u001b[31mus\u001b[0m\b\u0007\u0085!`];
    const own = { HF_TOKEN: SECRET.engineVariable, ...scripted({ startLines }) };
    const models = [
      { name: 'attached', engine: 'openai', base_url: engine.baseUrl, api_key_env: 'ENGINE_KEY' },
      { name: 'own', engine: 'vllm', model: 'org/own', devices: [], env: own, required: true },
      { name: 'small', engine: 'llama.cpp', model: RANDOM_MODEL },
    ];
    mesh = await startMesh(arrangement, {
      args: ['--model', 'none', '--log-level', 'trace'],
      env: {
        ...{ API_KEYS: SECRET.environmentKey, ENGINE_KEY: SECRET.engineKey, HF_TOKEN: SECRET.hubToken },
        ...{ HF_ENDPOINT: 'http://127.0.0.1:1', PATH: [FAKES, process.env.PATH].join(delimiter) },
        ...{ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' },
      },
      config: {
        inference: { devices: 'none', models },
        auth: { users: [{ name: 'ann', password_hash: await passwords.hash(SECRET.password) }] },
      },
      redisPassword: SECRET.redisPassword,
    });
    canaries = Object.entries(SECRET).map(([kind, text]) => ({ kind, text }));
    canaries.push({ kind: 'admin key', text: mesh.adminKey.split('_')[2] ?? '' });
    for (const [name, role] of [
      ['pepper', 'auth'],
      ['mesh.token', 'auth'],
    ] as const) {
      if (arrangement === 'one process') canaries.push({ kind: name, text: secretFile(mesh.dataDir(role), name) });
    }
    if (arrangement === 'six processes') {
      canaries.push({ kind: 'pepper', text: secretFile(mesh.directory, 'pepper') });
      canaries.push({ kind: 'mesh.token', text: 'test-token-0123456789abcdef0123456789abcdef' });
    }
    await addTokens();
    if (mesh.redisUrl !== undefined) look(await redisRemains(mesh.redisUrl));
  });
  afterAll(async () => {
    await mesh?.stop();
    await engine?.stop();
    receiver?.stop();
  });

  function secretFile(directory: string, name: string): string {
    return readFileSync(join(directory, name), 'utf8').trim();
  }

  const rpc = async (name: string, body: object, key = mesh.adminKey): Promise<Record<string, string>> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
    const init = { method: 'POST', headers, body: JSON.stringify(body) };
    const answer = await fetch(`${mesh.url}/mesh.auth.v1.AuthService/${name}`, init);
    expect([name, answer.status]).toEqual([name, 200]);
    return (await answer.json()) as Record<string, string>;
  };

  async function addTokens(): Promise<void> {
    const { accessToken = '', refreshToken = '' } = await rpc('Login', { username: 'ann', password: SECRET.password });
    const { secret = '' } = await rpc('CreateApiKey', {
      ...{ name: 'canary', scopes: ['SCOPE_GENERATE', 'SCOPE_MODELS_READ', 'SCOPE_USAGE_READ'] },
    });
    const [, claims = '', signature = ''] = accessToken.split('.');
    canaries.push({ kind: 'claims of a JWT', text: claims }, { kind: 'signature of a JWT', text: signature });
    canaries.push({ kind: 'refresh token', text: refreshToken }, { kind: 'key', text: secret.split('_')[2] ?? '' });
    expect(canaries.every(({ text }) => text.length >= 20)).toBe(true);
    keyHeaders = { authorization: `Bearer ${secret}` };
    tokenHeaders = { 'x-api-key': accessToken };
    textFor = (field) => {
      if (/password/.test(field)) return SECRET.password;
      if (/refresh_token/.test(field)) return refreshToken;
      if (/^hf_token$/.test(field)) return SECRET.loadToken;
      if (/credential|api_key|secret|token$/.test(field)) return secret;
      if (/text|prompt|content|description/.test(field)) return SECRET.prompt;
      return field === 'username' ? 'ann' : 'attached';
    };
  }
  let tokenHeaders: Record<string, string>;
  let textFor: (field: string) => string;

  const restBody = () => ({
    ...{ model: 'attached', messages: [{ role: 'user', content: SECRET.prompt }], prompt: SECRET.prompt },
    ...{ model_name: 'attached', parameters: { max_new_tokens: 2 }, hf_token: SECRET.loadToken },
    ...{ username: 'ann', password: SECRET.password, device: 'cpu' },
  });

  const look = (remains: readonly Remains[], besides: readonly string[] = []): void => {
    const watched = canaries.filter(({ kind }) => !besides.includes(kind));
    for (const { place, bytes } of remains) seen.push(...sightings(place, bytes, watched));
  };

  /** What was asked for is in the answer to the one who asked; errors tell nobody anything. */
  function lookAtAnswers(answers: readonly RawAnswer[]): void {
    const remains = answers.map(({ call, status, bytes }) => ({ place: `${status} of ${call}`, bytes }));
    look(remains.filter((_, index) => answers[index]?.isError));
    look(remains, ['completion']);
  }

  async function callAll(callers: readonly Record<string, string>[]): Promise<void> {
    for (const headers of callers) lookAtAnswers(await everyCall(mesh.url, headers, textFor, restBody()));
  }

  const generate = (model: string, more: object = {}, key: Record<string, string> = keyHeaders) => {
    const body = { model, messages: [{ role: 'user', content: SECRET.prompt }], max_tokens: 3, ...more };
    return callRoute(mesh.url, 'POST /v1/chat/completions', key, body);
  };

  test(
    'while all is well: every route and RPC, with a key, a token, a wrong key, two of them and none',
    async () => {
      const completions = await Promise.all([generate('attached'), generate('attached', { stream: true })]);
      for (const answer of completions) expect(answer.bytes.toString()).toContain(SECRET.completion);
      const others = [
        generate('own'),
        generate('small'),
        generate('own', { max_tokens: -1, logit_bias: SECRET.prompt }),
      ];
      lookAtAnswers(await Promise.all(others));
      const unknown = { 'x-api-key': SECRET.unknownKey };
      const ofEnvironment = { 'x-api-key': SECRET.environmentKey };
      await callAll([keyHeaders, tokenHeaders, ofEnvironment, unknown, { ...unknown, ...keyHeaders }, {}]);
      const wrong = { username: 'ann', password: SECRET.unknownKey };
      lookAtAnswers([await callRoute(mesh.url, 'POST /auth/login', {}, wrong)]);
      lookAtAnswers([await callRoute(mesh.url, `GET /stream/none?api_key=${SECRET.unknownKey}`, {}, {})]);
      lookAtAnswers([await callRoute(mesh.url, 'GET /metrics', {}, {})]);
    },
    PHASE_MS,
  );

  test(
    'and every text field, path and header with what a terminal would obey',
    async () => {
      const hostile = 'x\r\n{"level":"fatal"}\u001b[2J\u009b31m\u007f\u202e';
      const body = Object.fromEntries(Object.keys(restBody()).map((field) => [field, hostile]));
      const headers = { ...keyHeaders, 'user-agent': 'x\u009b31m', 'x-request-id': 'x\u009b31m' };
      const admin = { ...headers, authorization: `Bearer ${mesh.adminKey}` };
      lookAtAnswers([
        ...(await everyCall(mesh.url, headers, () => hostile, body)),
        ...(await everyCall(mesh.url, admin, () => hostile, body)),
        await callRoute(mesh.url, `GET /v1/models/${encodeURIComponent(hostile)}`, headers, {}),
        await callRoute(mesh.url, `GET /${encodeURIComponent(hostile)}`, headers, {}),
      ]);
    },
    PHASE_MS,
  );

  test(
    'loads: with a token, of what cannot be had, and into an engine that says what it was given',
    async () => {
      const admin = { authorization: `Bearer ${mesh.adminKey}` };
      const load = (model: string) =>
        callRoute(mesh.url, 'POST /load_model', admin, {
          model_name: model,
          device: 'cpu',
          hf_token: SECRET.loadToken,
        });
      const [loaded, ...failed] = await Promise.all([load('org/loaded'), load('hf:org/none'), load('../none.gguf')]);
      expect([loaded?.status, ...failed.map(({ isError }) => isError)]).toEqual([200, true, true]);
      lookAtAnswers([...(loaded ? [loaded] : []), ...failed]);
      const logs = await callRoute(mesh.url, 'POST /mesh.inference.v1.InferenceService/TailLogs', admin, {});
      lookAtAnswers([logs]);
    },
    PHASE_MS,
  );

  test(
    'what lies about while it runs: the store, the files, the processes',
    async () => {
      const ids = [...mesh.processes.values()].map(({ child }) => child.pid ?? 0);
      const processes = processRemains(ids);
      expect(processes.filter(({ place, bytes }) => place.startsWith('environment') && bytes.length > 0)).not.toEqual(
        [],
      );
      look(
        processes.filter(({ place }) => place.startsWith('command')),
        [],
      );
      look(
        processes.filter(({ place }) => place.startsWith('environment')),
        FOR_ENGINES,
      );
      look(filesBelow(mesh.directory, SECRET_FILES));
      if (mesh.redisUrl !== undefined) {
        const values = await redisRemains(mesh.redisUrl);
        expect(values.length).toBeGreaterThan(3);
        look(values);
        // A password that is wrong, and holds the right one.
        lookAtStart(mesh.redisUrl.replace(SECRET.redisPassword, `${SECRET.redisPassword}x`));
      }
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [main, '--config', join(mesh.directory, 'mesh.json'), '--check-config'],
        { cwd: mesh.directory, env: checkEnvironment(), encoding: 'buffer' },
      );
      expect([status, stdout.includes('***')]).toEqual([0, true]);
      look([{ place: '--check-config', bytes: Buffer.concat([stdout, stderr]) }]);
    },
    PHASE_MS,
  );

  function checkEnvironment(): Record<string, string> {
    return {
      ...{ API_KEYS: SECRET.environmentKey, ENGINE_KEY: SECRET.engineKey, HF_TOKEN: SECRET.hubToken },
      ...{ REDIS_URL: `redis://:${SECRET.redisPassword}@127.0.0.1:1`, MESH_PEPPER_FILE: 'pepper' },
      MESH_TOKEN: canaries.find(({ kind }) => kind === 'mesh.token')?.text ?? '',
    };
  }

  test(
    'with an engine that repeats what it was told, as errors and as garbage',
    async () => {
      const told = `${SECRET.prompt} ${SECRET.completion} ${SECRET.engineKey}`;
      for (const status of [400, 401, 404, 422, 429, 500, 503]) {
        await engine.script({ status, body: { error: { message: told, code: told, param: told }, detail: told } });
        const answers = await Promise.all([generate('attached'), generate('attached', { stream: true })]);
        expect(answers.every(({ isError }) => isError)).toBe(true);
        // Of its request a caller may learn what the engine says; never how we prove ourselves there.
        look(
          answers.map(({ bytes }) => ({ place: `${status} of an engine that repeats`, bytes })),
          ['prompt', 'completion'],
        );
      }
      await engine.script({ tokens: 3, atToken: 0, fault: 'error', streamError: { message: told, code: 400 } });
      const inStream = await Promise.all([generate('attached'), generate('attached', { stream: true })]);
      look(
        inStream.map(({ bytes }) => ({ place: 'an error in a stream', bytes })),
        ['prompt', 'completion'],
      );
      for (const fault of ['error', 'garbage', 'half', 'reset'] as const) {
        await engine.script({ texts: [told], tokens: 3, atToken: 1, fault });
        await Promise.all([generate('attached'), generate('attached', { stream: true })]);
      }
    },
    PHASE_MS,
  );

  test(
    'with its engine gone, its store gone, its auth gone',
    async () => {
      await engine.stop();
      lookAtAnswers([await generate('attached'), await generate('attached', { stream: true })]);
      for (const program of [mesh.redisServer, mesh.processes.get('auth')]) {
        if (!program) continue;
        await program.stop('SIGKILL');
        await callAll([keyHeaders, { 'x-api-key': SECRET.unknownKey }]);
      }
      for (const address of ['127.0.0.1:1', '[bad']) lookAtStart(`redis://:${SECRET.redisPassword}@${address}`);
    },
    PHASE_MS,
  );

  /** A start that cannot succeed, with all that is secret in its environment. */
  function lookAtStart(redisUrl: string): void {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, '--model', 'none', '--port', '0'], {
      ...{ cwd: mesh.directory, encoding: 'buffer', timeout: PHASE_MS },
      env: { ...checkEnvironment(), REDIS_URL: redisUrl, LOG_LEVEL: 'trace', MESH_PEPPER_FILE: pepperFile() },
    });
    const place = `a start with ${redisUrl.slice(redisUrl.indexOf('@'))}`;
    expect([place, [1, 75, 78].includes(status ?? 0)]).toEqual([place, true]);
    look([{ place, bytes: Buffer.concat([stdout, stderr]) }]);
  }

  function pepperFile(): string {
    return join(arrangement === 'one process' ? mesh.dataDir('auth') : mesh.directory, 'pepper');
  }

  test(
    'and what is left at the end: outputs and files',
    async () => {
      for (const { child } of mesh.processes.values()) child.kill('SIGTERM');
      const ended = () =>
        [...mesh.processes.values()].every(({ child }) => child.exitCode !== null || child.signalCode);
      await eventually('all have ended', ended, PHASE_MS);
      const outputs = [...mesh.processes].map(([role, { output }]) => ({
        place: `output of ${role}`,
        bytes: Buffer.from(output()),
      }));
      const whole = Buffer.concat(outputs.map(({ bytes }) => bytes)).toString();
      expect(whole).toContain('"level":"debug"');
      look(outputs);
      expect(receiver.spans.length).toBeGreaterThan(100);
      look(receiver.bodies.map((bytes) => ({ place: 'traces', bytes })));
      const files = filesBelow(mesh.directory, SECRET_FILES);
      look(files);
      const logs = files.filter(({ place }) => place.includes('logs/')).map(({ bytes }) => bytes.toString());
      // The line of the engine is there, without its secret and without what a terminal would obey.
      expect(logs.join('')).toContain('the key is [secret] for us\\u0008\\u0007\\u0085!');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
      expect(logs.join('') + whole).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      expect(seen).toEqual([]);
    },
    PHASE_MS,
  );
});
