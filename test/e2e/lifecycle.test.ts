import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import type { FakeScript } from '../engines/fake-openai.ts';
import { eventuallyBefore, sendUntilStored } from '../harness/answers.ts';
import { readLedger } from '../harness/ledger.ts';
import { type Arrangement, arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually, freePort, startProgram } from '../harness/processes.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');

/** Every process below `pid`, found by its parents. */
function descendants(pid: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const children = Map.groupBy(
    lines.map((line) => line.trim().split(/\s+/).map(Number)),
    ([, parent]) => parent,
  );
  const below = (parent: number): number[] =>
    (children.get(parent) ?? []).flatMap(([child = 0]) => [child, ...below(child)]);
  return below(pid);
}

const lives = (pid: number): boolean => existsSync(`/proc/${pid}`);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-life-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const start = (args: string[], env: Record<string, string> = {}) =>
  startProgram(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, '--data-dir', join(directory, 'data'), ...args],
    env,
    directory,
  );

async function exitOf(args: string[], env: Record<string, string> = {}) {
  const program = start(args, env);
  await eventually('it ends', () => program.child.exitCode !== null);
  return { code: program.child.exitCode, output: program.output() };
}

describe('a start that cannot work says why', () => {
  test.each([
    ['a field that does not exist', 'server:\n  prot: 1\n', /mesh\.yaml:2: server\.prot: /],
    ['a wrong type', 'router:\n  idle_write_seconds: soon\n', /mesh\.yaml:2: router\.idle_write_seconds: /],
    [
      'a default model that nothing serves',
      'inference:\n  models: [{ name: a, engine: openai, model: m, base_url: "http://h/v1" }]\nrouter:\n  default_model: b\n',
      /mesh\.yaml:4: router\.default_model: .*'b'/,
    ],
    [
      'a key of a tier that does not exist',
      'auth:\n  api_keys:\n    - { hash: "HASH", tier: gold }\n'.replace('HASH', 'a'.repeat(64)),
      /mesh\.yaml:3: auth\.api_keys\.0\.tier: .*gold/,
    ],
    [
      'limits of a key that nobody has',
      'quota:\n  keys:\n    nobodys: { requests_per_day: 5 }\n',
      /mesh\.yaml:3: quota\.keys\.nobodys: there is no key/,
    ],
    [
      'limits of an engine that does not exist',
      'quota:\n  engines:\n    none: { requests_per_day: 5 }\n',
      /mesh\.yaml:3: quota\.engines\.none: there is no engine/,
    ],
    [
      'a limit that a lower one hides',
      'quota:\n  tiers:\n    gold:\n      requests_per_minute: 50\n      requests_per_hour: 40\n',
      /mesh\.yaml:4: quota\.tiers\.gold\.requests_per_minute: is never reached/,
    ],
    [
      'a proxy that is no address',
      'server:\n  trusted_proxies: [proxy]\n',
      /mesh\.yaml:2: server\.trusted_proxies\.0: /,
    ],
  ])('%s: 78, file, line and field', async (_name, text, message) => {
    writeFileSync(join(directory, 'mesh.yaml'), text);
    const { code, output } = await exitOf(['--port', '0']);
    expect(output).toMatch(message);
    expect(code).toBe(78);
  });

  test.each<[string, string[], Record<string, string>, RegExp]>([
    ['an unknown flag', ['--prot', '1'], {}, /--prot/],
    ['a port that is no number', ['--port', 'http'], {}, /--port/],
    ['a role whose peers are nowhere', ['--port', '0', '--roles', 'facade'], {}, /MESH_PEER_AUTH/],
    ['a model file that does not exist', ['--model', '/no/such.gguf'], {}, /--model.*no such file/],
    ['a switch that is neither on nor off', [], { MESH_ALLOW_WEAK_KEYS: 'yes' }, /MESH_ALLOW_WEAK_KEYS/],
    ['a port of metrics that is none', [], { METRICS_PORT: 'yes' }, /METRICS_PORT/],
    [
      'a port that is two at once',
      [],
      { METRICS_PORT: '8123', PORT: '8123' },
      /METRICS_PORT.*port of the process itself/,
    ],
    ['a certificate without its key', [], { MESH_TLS_CERT: 'cert.pem' }, /MESH_TLS_CERT, MESH_TLS_KEY: set both/],
    [
      'a certificate that is not there',
      ['--port', '0', '--model', 'none'],
      { MESH_TLS_CERT: 'cert.pem', MESH_TLS_KEY: 'key.pem' },
      /server\.tls\.cert: .*cert\.pem cannot be read/,
    ],
    ['a role that does not exist', ['--roles', 'auth,nope'], {}, /--roles.*auth, quota/],
    [
      'an inference process that routers could not find',
      ['--roles', 'inference', '--host', '0.0.0.0'],
      { MESH_PEER_AUTH: 'http://h:1', MESH_PEER_ROUTER: 'http://h:2' },
      /server\.advertise_url/,
    ],
    ['Redis without a pepper', ['--port', '0'], { REDIS_URL: 'redis://127.0.0.1:1' }, /MESH_PEPPER_FILE/],
  ])('%s: 78', async (_name, args, env, message) => {
    const { code, output } = await exitOf(args, env);
    expect(output).toMatch(message);
    expect(code).toBe(78);
  });

  test('a port that is taken: 75', async () => {
    const port = await freePort();
    const taken = createServer().listen(port, '127.0.0.1');
    const { code, output } = await exitOf(['--port', String(port), '--model', 'none']);
    taken.close();
    expect(output).toContain(String(port));
    expect(code).toBe(75);
  });

  test('a store that does not answer: 75', async () => {
    writeFileSync(join(directory, 'pepper'), 'x'.repeat(40));
    const env = { REDIS_URL: 'redis://127.0.0.1:1', MESH_PEPPER_FILE: join(directory, 'pepper') };
    expect(await exitOf(['--port', '0', '--model', 'none'], env)).toMatchObject({ code: 75 });
  });

  test('--check-config prints what it understood, without secrets, and leaves', async () => {
    const secret = 'hunter2-hunter2-hunter2-hunter2-hunter2';
    const env = {
      MESH_TOKEN: secret,
      OTHER_SECRET: secret,
      REDIS_URL: `redis://:${secret}@h:1`,
      MESH_PEPPER_FILE: 'pepper',
    };
    const { code, output } = await exitOf(['--check-config', '--port', '7'], env);
    expect(code).toBe(0);
    expect(output).not.toContain(secret);
    expect(JSON.parse(output)).toMatchObject({ port: 7, server: { mesh_token: '***' } });
  });
});

test('the first start makes a key that only its owner can read, the second one keeps it, and both print what to do', async () => {
  const keys: string[] = [];
  for (const _ of [1, 2]) {
    const program = start(['--port', '0']);
    await eventually('it says how to stream', () => program.output().includes('curl -N'));
    expect(program.output()).toMatch(/model +\S+ on (cpu|cuda|metal|vulkan)/);
    const keyFile = join(directory, 'data', 'admin.key');
    const key = readFileSync(keyFile, 'utf8').trim();
    expect(program.output()).toContain(keyFile);
    expect(program.output()).not.toContain(key);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    keys.push(key);
    expect(await program.stop()).toBe(0);
  }
  expect(keys[0]).toBe(keys[1]);
});

test('the printed command streams tokens', async () => {
  const program = start(['--port', '0']);
  await eventually('it says how to stream', () => program.output().includes('curl -N'));
  const command = /^ +(curl -N .*)$/m.exec(program.output())?.[1] ?? '';
  const answer = execFileSync('sh', ['-c', `${command} --silent`], { encoding: 'utf8' });
  expect(answer).toMatch(/^data: \{.*"delta"/);
  expect(answer.trimEnd().endsWith('data: [DONE]')).toBe(true);
  await program.stop();
});

describe('no engine outlives the mesh', () => {
  test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('%s', async (signal) => {
    const program = start(['--port', '0']);
    await eventually('it runs', () => program.output().includes('curl -N'));
    const engines = descendants(program.child.pid ?? 0);
    expect(engines.length).toBeGreaterThan(0);
    await program.stop(signal);
    await eventually('no engine is left', () => !engines.some(lives), stretched(5_000));
  });
});

interface Serving {
  readonly mesh: TestMesh;
  readonly engine: FakeEngine;
  /** Asks for a long stream; of one that is taken the head is here when its first token is. */
  stream(): Promise<Response>;
}

/** A mesh in front of a fake engine with a script; both are stopped when the test is over. */
async function serve(arrangement: Arrangement, script: FakeScript): Promise<Serving> {
  const engine = await startFakeEngine(script);
  onTestFinished(() => engine.stop());
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  const mesh = await startMesh(arrangement, { config: { inference: { models }, server: { drain_seconds: 60 } } });
  onTestFinished(() => mesh.stop());
  const send = () =>
    fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${mesh.adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], stream: true, max_tokens: 100_000 }),
    });
  return { mesh, engine, stream: () => sendUntilStored(send) };
}

describe.each(arrangements())('SIGTERM, %s', (arrangement) => {
  test('running streams end as they should, new work is refused, every process ends with 0', async () => {
    const { mesh, engine, stream } = await serve(arrangement, { tokens: 250, holdAtToken: 100 });
    const running = await stream();
    expect(running.status).toBe(200);
    const front = mesh.processes.get('facade') ?? mesh.processes.get('all');
    front?.child.kill('SIGTERM');
    await eventually('new work is refused', async () => {
      const refused = await stream();
      // One that was taken before the signal goes on with the first.
      if (refused.status === 200) void refused.text().catch(() => {});
      return refused.status === 503 && refused.headers.get('retry-after') !== null;
    });
    await engine.go();
    const text = await running.text();
    expect(text).toContain(' t249');
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const ends = await Promise.all([...mesh.processes].map(async ([role, program]) => [role, await program.stop()]));
    expect(ends).toEqual([...mesh.processes.keys()].map((role) => [role, 0]));
  });

  test('all processes told at once: what runs is finished, delivered and charged', async () => {
    const { mesh, engine, stream } = await serve(arrangement, { tokens: 60, holdAtToken: 10 });
    const running = await stream();
    const ends = Promise.all([...mesh.processes.values()].map((program) => program.stop()));
    await engine.go();
    const text = await running.text();
    expect(text).toContain(' t59');
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect(new Set(await ends)).toEqual(new Set([0]));
    const keyId = /^im_([^_]+)_/.exec(mesh.adminKey)?.[1] ?? '';
    expect(await readLedger(mesh, keyId)).toMatchObject({ requests: 1, completionTokens: 60, held: 0 });
  });
});

test.runIf(arrangements().includes('six processes'))(
  "a killed inference process is the mesh's fault and not the caller's: an error event, or 503 before the first token",
  async () => {
    const { mesh, engine, stream } = await serve('six processes', { tokens: 250, holdAtToken: 100 });
    const started = (await stream()).text();
    await engine.script({ headersMs: 600_000 });
    const waiting = stream();
    const both = async () => (await engine.counts()).running === 2;
    await eventuallyBefore({ started, waiting }, 'both are with the engine', both);
    mesh.processes.get('inference')?.child.kill('SIGKILL');
    const text = await started;
    expect(text).toMatch(/data: \{"error":\{[^}]*"type":"server_error"/);
    expect(text).not.toContain('[DONE]');
    const refused = await waiting;
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    expect(await refused.text()).not.toMatch(/127\.0\.0\.1|ECONN|http\/2/);
  },
);
