import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { createRemoteTransport } from '../../services/shared/transport/remote-transport.ts';
import { startFakeEngine } from '../engines/fake-engine.ts';
import type { FakeScript } from '../engines/fake-openai.ts';
import { isRunning } from '../engines/processes.ts';
import { createAuthority, type TestAuthority } from '../harness/certificates.ts';
import { childrenOf, connectionsOf } from '../harness/connections.ts';
import { readLedger } from '../harness/ledger.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');

const WORKERS = 3;

/** So many connections that none of the workers goes without, but for one time in fifty thousand: a hash spreads them. */
const MANY = 30;

/** What a revocation may take to reach everybody, in milliseconds. */
const PUSHED_WITHIN_MS = 250;

/** What a request got, on a connection of its own. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Sends a request on a connection of its own; resolves when the head of the answer is there. */
async function open(mesh: TestMesh, key: string, path: string, body?: object): Promise<IncomingMessage> {
  const request = http.request(`${mesh.url}${path}`, {
    method: body ? 'POST' : 'GET',
    agent: false,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
  });
  request.end(body && JSON.stringify(body));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  // A connection that is cut ends the text.
  await new Promise<void>((done) => {
    response.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
    response.once('close', done).on('error', () => {});
  });
  return text;
}

async function ask(mesh: TestMesh, key: string, path: string, body?: object): Promise<Answer> {
  const response = await open(mesh, key, path, body);
  return { status: response.statusCode ?? 0, text: await textOf(response) };
}

const CHAT = { model: 'fake', messages: [{ role: 'user', content: 'hi' }], max_tokens: 200 };

const stream = (mesh: TestMesh, key = mesh.adminKey) =>
  open(mesh, key, '/v1/chat/completions', { ...CHAT, stream: true });

/** A mesh with workers before a fake engine. */
async function serve(script: FakeScript, config: object = {}, authority?: TestAuthority) {
  const engine = await startFakeEngine(script);
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  const mesh = await startMesh('one process', {
    config: { ...config, server: { workers: WORKERS, drain_seconds: 20 }, inference: { models, devices: 'none' } },
    ...(authority && { authority }),
  });
  const program = mesh.processes.get('all') as RunningProgram;
  const parent = program.child.pid as number;
  const stop = async (): Promise<void> => {
    await mesh.stop();
    await engine.stop();
  };
  const port = Number(new URL(mesh.url).port);
  return { engine, mesh, program, parent, workers: () => childrenOf(parent), port, stop };
}

/** A client of auth that acts as the admin of a mesh. */
function authOf(mesh: TestMesh) {
  const transport = createRemoteTransport(mesh.url, {
    meshToken: undefined,
    interceptors: [
      (next) => (request) => {
        request.header.set('authorization', `Bearer ${mesh.adminKey}`);
        return next(request);
      },
    ],
  });
  onTestFinished(() => transport.close());
  return createClient(AuthService, transport);
}

/** The requests for answers of a model that ended with a status. */
const countOf = (metrics: string, status: number): number =>
  [...metrics.matchAll(/^api_requests_total\{([^}]*)\} (\d+)$/gm)]
    .filter(([, labels = '']) => labels.includes('/v1/chat/completions') && labels.includes(`status="${status}"`))
    .reduce((sum, [, , count]) => sum + Number(count), 0);

const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

// What serves whom is read from /proc.
describe.runIf(process.platform === 'linux')('several workers', () => {
  let served: Awaited<ReturnType<typeof serve>>;
  let metricsPort: number;
  beforeAll(async () => {
    metricsPort = await freePort();
    const config = {
      quota: { tiers: { thirty: { requests_per_hour: 30 } } },
      observability: { metrics_port: metricsPort },
    };
    served = await serve({ tokens: 3 }, config);
  }, 150_000);
  afterAll(() => served?.stop());

  test('limits are exact over all of them, and a revocation reaches each', async () => {
    const { mesh } = served;
    const auth = authOf(mesh);
    const limited = await auth.createApiKey({ tier: 'thirty' });
    const chat = () => ask(mesh, limited.secret, '/v1/chat/completions', { ...CHAT, max_tokens: 3 });
    const statuses = (await Promise.all(times(50, chat))).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(30);
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
    const keyId = limited.apiKey?.keyId ?? '';
    await eventually('all is written', async () => (await readLedger(mesh, keyId)).held === 0);
    expect(await readLedger(mesh, keyId)).toMatchObject({ requests: 30, completionTokens: 90 });

    // Each worker remembers the key.
    const look = async () => (await ask(mesh, limited.secret, '/v1/models')).status;
    expect(await Promise.all(times(MANY, look))).toEqual(times(MANY, () => 200));
    await auth.revokeApiKey({ keyId });
    const revokedMs = performance.now();
    await eventually('no worker takes it', async () =>
      (await Promise.all(times(MANY, look))).every((status) => status === 401),
    );
    expect(performance.now() - revokedMs).toBeLessThan(stretched(PUSHED_WITHIN_MS));
  });

  /** How many requests have been answered so, by what a scrape on a connection of its own says. */
  async function answered(status: number): Promise<number> {
    const { text } = await ask(served.mesh, served.mesh.adminKey, '/metrics');
    return countOf(text, status);
  }

  test('each answer about metrics is about all of them: exact, never less than before', async () => {
    const { mesh } = served;
    // Of the test before.
    await eventually('all that were admitted are counted', async () => (await answered(200)) === 30);
    expect(await answered(429)).toBe(20);
    const made = times(MANY, () => ask(mesh, mesh.adminKey, '/v1/chat/completions', { ...CHAT, max_tokens: 3 }));
    const seen: number[] = [];
    for (let scrape = 0; scrape < MANY; scrape += 1) seen.push(await answered(200));
    await Promise.all(made);
    await eventually('all are counted', async () => (await answered(200)) === 30 + MANY);
    expect(seen).toEqual(seen.toSorted((one, other) => one - other));
    const apart = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(countOf(apart, 200)).toBe(30 + MANY);
    // What is there once is told once.
    expect(apart).toMatch(/^mesh_engine_state\{[^}]*state="ready"\} 1$/m);
    expect(apart).toMatch(/^mesh_model_engines\{[^}]*standing="ready"\} 1$/m);
    expect(apart.match(/^mesh_info\{.*\} 1$/gm)).toHaveLength(2);
  });

  test('streams spread; one that is killed takes its own with it and no others, and comes back', async () => {
    const { engine, mesh, program, workers, port } = served;
    await engine.script({ tokens: 20, holdAtToken: 5 });
    const before = workers();
    expect(before).toHaveLength(WORKERS);
    const streams = await Promise.all(times(MANY, () => stream(mesh)));
    expect(streams.map(({ statusCode }) => statusCode)).toEqual(streams.map(() => 200));
    // One on which the readiness was asked may be open still.
    const held = before.map((processId) => connectionsOf(processId, port));
    expect(Math.min(...held)).toBeGreaterThanOrEqual(1);

    const texts = streams.map(textOf);
    const [victim = 0, ...others] = before;
    const counted = await answered(200);
    process.kill(victim, 'SIGKILL');
    await eventually('it is gone', () => !isRunning(victim));
    await engine.go();
    const whole = (await Promise.all(texts)).filter((text) => text.includes('[DONE]'));
    expect(whole.length).toBeLessThan(streams.length);
    expect(whole.length).toBeGreaterThanOrEqual(streams.length - (held[0] ?? 0));
    for (const text of whole) {
      expect([...text.matchAll(/ t(\d+)/g)].map(([, index]) => Number(index))).toEqual(
        times(20, () => 0).map((_, index) => index),
      );
    }
    const newest = await eventually('another takes its place', () => workers().find((one) => !before.includes(one)));
    expect(workers()).toEqual(expect.arrayContaining(others));
    const takes = (line: string) => line.includes(`"processId":${newest},`) && line.includes('takes requests');
    const asked: Answer[] = [];
    await eventually('it takes requests', async () => {
      const isThere = program.output().split('\n').some(takes);
      asked.push(...(await Promise.all(times(MANY, () => ask(mesh, mesh.adminKey, '/v1/chat/completions', CHAT)))));
      return isThere;
    });
    // What the one that is gone has counted still counts.
    expect(await answered(200)).toBeGreaterThanOrEqual(counted);
    // Nobody met one that does not know the engines yet.
    expect(asked.filter(({ status }) => status !== 200)).toEqual([]);
    await engine.script({ tokens: 20, holdAtToken: 5 });
    const again = await Promise.all(times(MANY, () => stream(mesh)));
    expect(connectionsOf(newest, port)).toBeGreaterThanOrEqual(1);
    await engine.go();
    for (const text of await Promise.all(again.map(textOf))) expect(text).toContain('[DONE]');
  });

  test('SIGTERM: streams of all workers end as they should, and nobody is left', async () => {
    const { engine, mesh, program, parent, workers } = served;
    await engine.script({ tokens: 60, holdAtToken: 5 });
    const { apiKey, secret } = await authOf(mesh).createApiKey({ tier: 'premium' });
    const all = [parent, ...workers()];
    const streams = await Promise.all(times(MANY, () => stream(mesh, secret)));
    const texts = streams.map(textOf);
    const ended = program.stop('SIGTERM');
    await eventually('new work is refused', async () => (await ask(mesh, mesh.adminKey, '/readyz')).status === 503);
    expect(all.every(isRunning)).toBe(true);
    await engine.go();
    for (const text of await Promise.all(texts)) {
      expect(text).toContain(' t59');
      expect(text).toContain('[DONE]');
    }
    expect(await ended).toBe(0);
    expect(all.filter(isRunning)).toEqual([]);
    const charged = await readLedger(mesh, apiKey?.keyId ?? '');
    expect(charged).toMatchObject({ requests: MANY, completionTokens: 60 * MANY });
  });

  test('SIGKILL leaves no worker behind, also with streams running; with certificates between them', async () => {
    const killed = await serve({ tokens: 60, holdAtToken: 5 }, {}, createAuthority());
    onTestFinished(killed.stop);
    const { mesh, program, parent, workers } = killed;
    const all = [parent, ...workers()];
    const running = (await stream(mesh)).on('error', () => {});
    await program.stop('SIGKILL');
    await eventually('all are gone', () => !all.some(isRunning));
    running.destroy();
  });
});

/** Free ports, each one more than the one before. */
async function consecutivePorts(count: number): Promise<number[]> {
  const ports = [await freePort()];
  while (ports.length < count) {
    const port = await freePort();
    if (port !== (ports.at(-1) ?? 0) + 1) ports.length = 0;
    ports.push(port);
  }
  return ports;
}

test.runIf(process.platform === 'linux')('engines in another process serve all workers, and tasks', async () => {
  const engine = await startFakeEngine({ tokens: 3 });
  onTestFinished(() => engine.stop());
  const [first = 0, ...others] = await consecutivePorts(3);
  const ports = [first, ...others].map((port) => `http://127.0.0.1:${port}`);
  const env = { MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef' };
  const directory = mkdtempSync(join(tmpdir(), 'mesh-'));
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  writeFileSync(join(directory, 'engines.json'), JSON.stringify({ inference: { models, devices: 'none' } }));
  const flags = ['--roles', 'inference', '--config', 'engines.json', '--port', String(await freePort())];
  const peers = { MESH_PEER_AUTH: ports[0] ?? '', MESH_PEER_ROUTER: ports.join() };
  const args = ['--disable-warning=ExperimentalWarning', main, ...flags, '--data-dir', 'engines'];
  const node = startProgram(process.execPath, args, { ...env, ...peers }, directory);
  const mesh = await startMesh('one process', {
    ...{ env, args: ['--roles', 'auth,quota,router,tasks,facade'] },
    config: { server: { workers: 2, worker_port: first } },
  });
  onTestFinished(async () => {
    await node.stop();
    await mesh.stop();
    rmSync(directory, { recursive: true });
  });
  await eventually('all workers know the engine', async () => {
    const asked = await Promise.all(times(MANY, () => ask(mesh, mesh.adminKey, '/v1/chat/completions', CHAT)));
    return asked.every(({ status, text }) => status === 200 && text.includes(' t0 t1 t2'));
  });
  const accepted = await ask(mesh, mesh.adminKey, '/generate', { prompt: 'hi', max_tokens: 3 });
  const { task_id: taskId } = JSON.parse(accepted.text) as { task_id: string };
  await eventually('the task is done', async () => {
    const { status, text } = await ask(mesh, mesh.adminKey, `/result/${taskId}`);
    return status === 200 && text.includes(' t0 t1 t2');
  });
});

test.runIf(process.platform === 'linux')(
  'a port that others have, who would share it, ends the start with 75',
  async () => {
    const taken = createServer().listen({ port: await freePort(), host: '127.0.0.1', reusePort: true });
    await once(taken, 'listening');
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const directory = mkdtempSync(join(tmpdir(), 'mesh-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const args = ['--disable-warning=ExperimentalWarning', main, '--port', String(port), '--model', 'none'];
    const program = startProgram(process.execPath, args, { MESH_WORKERS: '2' }, directory);
    expect(await once(program.child, 'exit')).toEqual([75, null]);
    expect(program.output()).toContain(`cannot listen on 127.0.0.1:${port} (EADDRINUSE)`);
  },
);
