import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { selfSigned } from '../harness/certificates.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { eventually, freePort } from '../harness/processes.ts';
import { type CliMesh, PROGRAM, runProgram, startCliMesh } from './cli-mesh.ts';

let cli: CliMesh;
beforeAll(async () => {
  cli = await startCliMesh();
});
afterAll(() => cli?.stop());
beforeEach(() => cli.fake.script({ texts: ['Hello', ' there', '!'], tokens: 3 }));

/** Runs a command that must go well. */
async function ok(args: readonly string[], input = '', env: Record<string, string> = {}): Promise<string> {
  const { code, out, err } = await cli.run(args, { input, env });
  expect(err).not.toContain('inference-mesh:');
  expect(code).toBe(0);
  return out;
}
const json = async (args: readonly string[], input = '', env: Record<string, string> = {}) =>
  JSON.parse(await ok(['--json', ...args], input, env));

describe('run', () => {
  test('standard output has the answer and nothing else; prompt and standard input go together', async () => {
    expect(await ok(['run', 'Say', 'hello'], 'to the world\n')).toBe('Hello there!\n');
    const { last } = await cli.fake.counts();
    expect(last?.body.messages).toEqual([{ role: 'user', content: 'Say hello\n\nto the world' }]);
  });

  test('as JSON: the answer, why it ended and what it cost', async () => {
    expect(await json(['run', 'Hi', '--system', 'Be brief', '--temperature', '0', '--seed', '7'])).toMatchObject({
      ...{ text: 'Hello there!', model: 'fake-chat', engine: 'chat', completionTokens: 3 },
      requestId: expect.stringMatching(/^req_/),
    });
    const { last } = await cli.fake.counts();
    expect(last?.body).toMatchObject({ temperature: 0, seed: 7, messages: [{ role: 'system' }, { role: 'user' }] });
  });

  test('an answer that is cut short ends with 3', async () => {
    await cli.fake.script({ finishReason: 'length' });
    const { code, out, err } = await cli.run(['run', '--max-tokens', '2', 'Hi']);
    expect([code, out]).toEqual([3, ' t0 t1\n']);
    expect(err).toContain('cut short');
  });

  test('whoever stops reading ends it quietly, and the generation with it', async () => {
    await cli.fake.script({ tokens: 100_000, everyMs: 5 });
    const child = spawn('sh', ['-c', `"${PROGRAM}" run Hi </dev/null | head -c 4`], {
      cwd: cli.directory,
      env: { PATH: process.env.PATH, ...cli.env },
    });
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    await once(child, 'exit');
    expect(err).toBe('');
    await eventually('the engine is told', async () => (await cli.fake.counts()).running === 0);
  });

  test('SIGINT cancels the generation and ends with 130', async () => {
    await cli.fake.script({ tokens: 100_000, everyMs: 5 });
    const child = spawn(PROGRAM, ['run', 'Hi'], { cwd: cli.directory, env: { PATH: process.env.PATH, ...cli.env } });
    child.stdin.end();
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([130, null]);
    await eventually('the engine is told', async () => (await cli.fake.counts()).running === 0);
  });
});

test.each([['run'], ['chat'], ['--key-file', '-', 'models', 'list']])(
  'whoever writes standard input and never ends it: one SIGTERM ends %s',
  async (...args) => {
    const child = spawn(PROGRAM, args, { cwd: cli.directory, env: { PATH: process.env.PATH, ...cli.env } });
    // More than a pipe holds: it is written when it is read.
    await new Promise((resolve) => child.stdin.write('x'.repeat(4_000_000), resolve));
    child.stdin.on('error', () => {});
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([143, null]);
  },
);

test.runIf(existsSync('/dev/full')).each([['status'], ['run', 'Hi'], ['usage', '--json']])(
  'an output that cannot be written is an error of one line: %s',
  async (...args) => {
    const child = spawn('sh', ['-c', '"$0" "$@" </dev/null >/dev/full', PROGRAM, ...args], {
      cwd: cli.directory,
      env: { PATH: process.env.PATH, ...cli.env },
    });
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(err).toMatch(/^(inference-mesh: |\{"error":\{.*)the output cannot be written: ENOSPC[^\n]*\n$/);
  },
);

test('chat: each line of standard input is asked, in one conversation', async () => {
  expect(await ok(['chat', 'chat'], 'One\n/system Be brief\nTwo\n')).toBe('Hello there!\nHello there!\n');
  const { last } = await cli.fake.counts();
  expect(last?.body.messages).toMatchObject([
    { role: 'system', content: 'Be brief' },
    { role: 'user', content: 'One' },
    { role: 'assistant', content: 'Hello there!' },
    { role: 'user', content: 'Two' },
  ]);
});

test('status, models, engines: words without colours, and the JSON of the contracts', async () => {
  const words = await ok(['status']);
  expect(words).toMatch(/serving\ndefault model {2}chat\n/);
  expect(words).not.toContain('\u001b');
  expect(await json(['status'])).toMatchObject({ url: cli.mesh.url, serving: true, defaultModel: 'chat', waiting: 0 });
  expect(await json(['models', 'list'])).toMatchObject({
    models: [
      { id: 'fake-chat', names: ['chat'], ready: true, isDefault: true },
      { names: ['big'], ready: false },
    ],
  });
  expect(await ok(['engines', 'list'])).toMatch(/^NODE +ENGINE +KIND +STATE/);
  const { engines } = await json(['engines', 'list']);
  expect(engines.map(({ engine }: { engine: { name: string; state: string } }) => [engine.name, engine.state])).toEqual(
    expect.arrayContaining([['chat', 'ENGINE_STATE_READY']]),
  );
});

/** `engines logs -f` shows what there is and goes on until it is told to stop. */
async function followsUntilTold(engine: string): Promise<void> {
  const child = spawn(PROGRAM, ['engines', 'logs', engine, '-f', '--json'], {
    cwd: cli.directory,
    env: { PATH: process.env.PATH, ...cli.env },
  });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  await eventually('lines come', () => out.includes('\n'));
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([143, null]);
  expect(JSON.parse(out.split('\n')[0] ?? '')).toMatchObject({ text: expect.any(String) });
}

test('a model is loaded stage by stage, its log is read, its place explained, and it is unloaded', async () => {
  const { code, out, err } = await cli.run(['models', 'load', 'big']);
  expect([code, out]).toEqual([0, expect.stringMatching(/^big is ready on cuda 0 of .* after /)]);
  // In a pipe a stage is a line, and no line is written over.
  expect(err.split('\n').length).toBeGreaterThan(2);
  expect(err).not.toContain('\r');
  expect((await ok(['engines', 'logs', 'big', '-n', '3'])).trim().split('\n')).toHaveLength(3);
  await followsUntilTold('big');
  const { placement, route } = await json(['engines', 'explain', 'big']);
  expect([placement.fits, route.candidates[0].engine]).toEqual([true, 'big']);
  const again = (await ok(['--json', 'models', 'load', 'big']))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(again.at(-1).engine.state).toBe('ENGINE_STATE_READY');
  const view = await json(['top', '--interval', '0.2']);
  expect(view.devices).toMatchObject([{ device: 'cuda 0', engines: ['big'] }]);
  expect(await ok(['models', 'unload', 'big'])).toMatch(/^big is not loaded on /);
});

test('keys: made, used, rotated, revoked; the secret alone is on standard output', async () => {
  const made = await cli.run(['keys', 'create', '--name', 'ci', '--expires', '1d', '--scope', 'generate,usage:read']);
  expect([made.code, made.out]).toEqual([0, expect.stringMatching(/^im_\S+\n$/)]);
  const [, keyId = ''] = /^key (\S+),/.exec(made.err) ?? [];
  const file = join(cli.directory, 'ci.key');
  writeFileSync(file, made.out);
  expect(await ok(['--key-file', file, 'run', 'Hi'])).toBe('Hello there!\n');
  expect((await cli.run(['--key-file', '-', 'models', 'list'], { input: made.out })).code).toBe(0);
  const denied = await cli.run(['--key-file', file, 'keys', 'list']);
  expect([denied.code, denied.err]).toEqual([77, expect.stringContaining('keys:manage')]);
  const { secret } = await json(['keys', 'rotate', keyId, '--grace', '0s']);
  expect((await cli.run(['models', 'list'], { env: { MESH_API_KEY: made.out.trim() } })).code).toBe(77);
  expect((await cli.run(['models', 'list'], { env: { MESH_API_KEY: secret } })).code).toBe(0);
  const { apiKeys } = await json(['keys', 'list']);
  expect(apiKeys).toMatchObject([{ keyId, name: 'ci', scopes: ['SCOPE_GENERATE', 'SCOPE_USAGE_READ'] }, {}]);
  expect(await ok(['keys', 'revoke', keyId])).toBe(`${keyId} is revoked\n`);
  expect(await ok(['keys', 'list'])).toMatch(/revoked/);
});

test('organisations, users and their limits', async () => {
  expect(await ok(['orgs', 'create', 'acme', '--tier', 'premium'])).toContain('premium');
  expect((await json(['orgs', 'list'])).organizations).toMatchObject([{ organizationId: 'acme', tier: 'premium' }]);
  expect(await ok(['users', 'create', 'ada', '--org', 'acme'], 'correct horse battery\n')).toContain('ada of acme');
  expect(await ok(['users', 'password', 'ada'], 'another horse battery\n')).toContain('is set');
  expect(await ok(['users', 'disable', 'ada'])).toContain('disabled');
  expect(await ok(['users', 'enable', 'ada'])).toContain('may log in');
  expect((await json(['users', 'list'])).users).toMatchObject([{ userId: 'ada', tier: 'premium' }]);
  await ok(['limits', 'set', 'user', 'ada', 'requests_per_minute=2', 'tokens_bucket=60:10', 'concurrent_requests=1']);
  const { limits } = await json(['limits', 'get', '--user', 'ada']);
  const own = limits.filter(({ limit }: { limit: { subject: string } }) => limit.subject === 'ada');
  expect(own).toMatchObject([
    { limit: { unit: 'LIMIT_UNIT_REQUESTS', window: 'LIMIT_WINDOW_MINUTE', maximum: '2' } },
    { limit: { unit: 'LIMIT_UNIT_TOKENS', window: 'LIMIT_WINDOW_BUCKET', maximum: '60', burst: '10' } },
    { limit: { unit: 'LIMIT_UNIT_CONCURRENT_REQUESTS', maximum: '1' } },
  ]);
  expect(await ok(['limits', 'set', 'user', 'ada', '--reset'])).toContain('no limits of its own');
  await ok(['limits', 'set', 'model', 'fake-chat', 'requests_per_minute=0']);
  const explained = await cli.run(['limits', 'explain', 'fake-chat']);
  expect([explained.code, explained.out]).toEqual([75, expect.stringMatching(/^refused by model:fake-chat/)]);
  const refused = await cli.run(['run', 'Hi']);
  expect([refused.code, refused.err]).toEqual([75, expect.stringContaining('limits get')]);
  await ok(['limits', 'set', 'model', 'fake-chat', '--reset']);
  expect(await ok(['limits', 'explain', 'fake-chat'])).toMatch(/^it would be let in now/);
});

test('usage: a table by key, user, model and day, with its sums', async () => {
  await ok(['run', 'Hi']);
  await eventually('it is counted', async () => (await json(['usage', '--by', 'model'])).rows.length === 1);
  const table = await ok(['usage']);
  expect(table).toMatch(/^KEY +USER +MODEL +DAY +REQUESTS +TOKENS IN +TOKENS OUT\n/);
  expect(table).toMatch(/\n\n\d+ requests, [\d,]+ tokens in, [\d,]+ tokens out\n$/);
  expect(await ok(['usage', '--since', '2020-01-01', '--until', '2020-02-01'])).toBe('nothing was used\n');
});

describe('tasks', () => {
  const tasks = () => createClient(TasksService, createConnectTransport({ baseUrl: cli.mesh.url, httpVersion: '1.1' }));
  async function submit(): Promise<string> {
    const headers = { authorization: `Bearer ${cli.mesh.adminKey}` };
    const prompt = { input: { case: 'text' as const, value: 'Hi' } };
    const { task } = await tasks().submit({ request: { model: 'chat', prompt } }, { headers });
    return task?.taskId ?? '';
  }

  test('watch: the text on standard output, what happens on standard error, to the end', async () => {
    const { code, out, err } = await cli.run(['tasks', 'watch', await submit()]);
    expect([code, out]).toEqual([0, 'Hello there!\n']);
    expect(err).toMatch(/completed\n$/);
  });

  test('watch goes on where an earlier one ended', async () => {
    const id = await submit();
    const all = (await ok(['--json', 'tasks', 'watch', id]))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const [first] = all.filter(({ delta }) => delta !== undefined);
    const rest = (await ok(['--json', 'tasks', 'watch', id, '--after', first.eventId])).trim().split('\n');
    expect(rest.map((line) => JSON.parse(line))).toEqual(all.slice(all.indexOf(first) + 1));
  });

  test.each(['reset', 'cut'] as const)(
    'watch takes a connection that broke up again (%s): no text is lost or doubled',
    async (how) => {
      await cli.fake.script({ tokens: 4, holdAtToken: 2 });
      const proxy = await startFaultProxy(Number(new URL(cli.mesh.url).port));
      try {
        const child = spawn(PROGRAM, ['--url', proxy.url, 'tasks', 'watch', await submit()], {
          cwd: cli.directory,
          env: { PATH: process.env.PATH, ...cli.env },
        });
        let out = '';
        let err = '';
        child.stdout.on('data', (chunk) => {
          out += chunk;
        });
        child.stderr.on('data', (chunk) => {
          err += chunk;
        });
        await eventually('text comes', () => out.includes(' t1'));
        proxy[how]();
        await eventually('it is noticed', () => err.includes('the watch broke off'));
        await cli.fake.go();
        expect(await once(child, 'exit')).toEqual([0, null]);
        expect(out.replaceAll('\n', '')).toBe(' t0 t1 t2 t3');
      } finally {
        await proxy.close();
      }
    },
  );

  test('cancel and list', async () => {
    await cli.fake.script({ tokens: 100_000, everyMs: 20 });
    const id = await submit();
    expect(await ok(['tasks', 'cancel', id])).toBe(`${id} is cancelled\n`);
    expect((await cli.run(['tasks', 'watch', id])).code).toBe(1);
    const { tasks: listed } = await json(['tasks', 'list', '-n', '1']);
    expect(listed).toMatchObject([{ taskId: id, state: 'TASK_STATE_FAILED', failure: { type: 'Cancelled' } }]);
  });
});

describe('what goes wrong', () => {
  test.each<[string, string[], number, RegExp]>([
    ['no such subcommand', ['models', 'lst'], 2, /Did you mean list/],
    ['no such model', ['run', '-m', 'none', 'Hi'], 1, /models list/],
    ['no such engine', ['engines', 'logs', 'none'], 1, /No node has an engine/],
    ['no such task', ['tasks', 'watch', 'none'], 1, /task/i],
    ['nobody answers', ['--url', 'http://127.0.0.1:1', 'status'], 69, /No mesh answers at .*\n.*inference-mesh start/],
    [
      'nobody answers a watch',
      ['--url', 'http://127.0.0.1:1', 'tasks', 'watch', 'x'],
      69,
      /^inference-mesh: No mesh answers/,
    ],
    ['no key file', ['--key-file', 'nowhere', 'status'], 77, /key file cannot be read/],
  ])('%s', async (_name, args, code, message) => {
    const result = await cli.run(args);
    expect([result.code, result.out, result.err]).toEqual([code, '', expect.stringMatching(message)]);
    expect(result.err).not.toMatch(/sk-seen|^ +at /m);
  });

  test('a certificate that is not trusted is no mesh that is away', async () => {
    const server = createServer(selfSigned({ names: ['localhost'] })).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const url = `https://localhost:${(server.address() as AddressInfo).port}`;
      const { code, err } = await cli.run(['--url', url, 'status']);
      expect([code, err]).toEqual([
        69,
        expect.stringMatching(/certificate of .* is not trusted.*\n.*NODE_EXTRA_CA_CERTS/),
      ]);
    } finally {
      server.close();
    }
  });

  test('with --json the error is JSON on standard error', async () => {
    const { code, out, err } = await cli.run(['--json', 'run', '-m', 'none', 'Hi']);
    expect([code, out]).toEqual([1, '']);
    expect(JSON.parse(err)).toMatchObject({
      error: { reason: 'MODEL_NOT_FOUND', exitCode: 1, hint: expect.any(String) },
    });
  });

  test('the local admin key is sent to no other machine', async () => {
    const { findKey } = await import('../../bin/cli/address.ts');
    const find = (url: string) => findKey({}, url, cli.env, cli.directory, async () => '');
    expect(await find(cli.mesh.url)).toBe(cli.mesh.adminKey);
    expect(await find('http://10.0.0.7:8000')).toBeUndefined();
    expect(await find('http://127.0.0.1.example.com')).toBeUndefined();
  });
});

describe('doctor', () => {
  test('says that all is well where it is, and knows the mesh that listens', async () => {
    const port = new URL(cli.mesh.url).port;
    const { findings, problems } = await json(['doctor', '--port', port]);
    expect([problems, findings.map(({ check }: { check: string }) => check)]).toEqual([
      0,
      ['versions', 'configuration', 'data directory', 'disk', 'store', 'drivers', 'engines', 'port', 'mesh'],
    ]);
    expect(findings.find(({ check }: { check: string }) => check === 'port').what).toContain('a mesh listens');
  });

  test.each<[string, Record<string, string>, string, RegExp]>([
    ['a configuration that does not hold', { MESH_PORT: 'many' }, 'configuration', /server\.port/],
    [
      'a store that does not answer',
      { REDIS_URL: 'redis://127.0.0.1:1', MESH_PEPPER_FILE: 'pepper' },
      'store',
      /Redis/,
    ],
    ['a data directory that is a file', { MESH_DATA_DIR: PROGRAM }, 'data directory', /cannot be written/],
    ['a mesh that was named and is not there', { MESH_URL: 'http://127.0.0.1:1' }, 'mesh', /ECONNREFUSED/],
    [
      'a process of the mesh that is not there',
      {
        MESH_ROLES: 'facade,router,quota,tasks',
        MESH_PEER_AUTH: 'http://127.0.0.1:1',
        REDIS_URL: 'redis://127.0.0.1:1',
      },
      'reachability',
      /ECONNREFUSED/,
    ],
  ])('finds %s, and says what to do', async (_name, env, check, what) => {
    writeFileSync(join(cli.directory, 'pepper'), 'p'.repeat(40));
    const { code, out } = await cli.run(['--json', 'doctor'], { env: { MESH_PORT: String(await freePort()), ...env } });
    const found = JSON.parse(out).findings.find(
      (finding: { check: string; level: string }) => finding.check === check && finding.level === 'problem',
    );
    expect([code, found]).toEqual([
      1,
      expect.objectContaining({ what: expect.stringMatching(what), fix: expect.any(String) }),
    ]);
  });

  test.each<[string, (file: Buffer) => Buffer]>([
    ['no database', () => Buffer.from('no database')],
    ['damaged in the middle', (file) => file.fill(0x5a, 4_096 * 2, 4_096 * 4)],
  ])('finds a store that is %s', async (_name, damage) => {
    const dataDir = mkdtempSync(join(cli.directory, 'damaged-'));
    const path = join(dataDir, 'mesh.db');
    const database = new DatabaseSync(path);
    database.exec('BEGIN; CREATE TABLE one (a TEXT PRIMARY KEY); CREATE TABLE two (b TEXT)');
    for (let i = 0; i < 500; i += 1) database.exec(`INSERT INTO one VALUES ('${i}'); INSERT INTO two VALUES ('${i}')`);
    database.exec('COMMIT');
    database.close();
    writeFileSync(path, damage(readFileSync(path)));
    const { code, out } = await cli.run(['doctor', '--data-dir', dataDir, '--port', '0']);
    expect([code, out]).toEqual([1, expect.stringMatching(/problem {2}store: .*mesh\.db cannot be read: /)]);
  });

  test('finds another program on the port', async () => {
    const { port } = cli.fake;
    const { code, out } = await cli.run(['doctor', '--port', String(port)]);
    expect([code, out]).toEqual([1, expect.stringMatching(/problem {2}port: another program has .*\n +→ Stop it/)]);
  });

  test('looks for the mesh where the configuration has it listen', async () => {
    const port = String(await freePort());
    const { findings } = await json(['doctor', '--host', 'localhost', '--port', port], '', { MESH_URL: '' });
    const { what } = findings.find(({ check }: { check: string }) => check === 'mesh');
    expect(what).toContain(`http://localhost:${port}`);
  });

  test('a port that a process without callers would have may be its own', async () => {
    const env = { MESH_ROLES: 'inference', MESH_PEER_AUTH: cli.mesh.url, MESH_PEER_ROUTER: cli.mesh.url };
    const { findings } = await json(['doctor', '--port', String(cli.fake.port)], '', env);
    expect(findings.find(({ check }: { check: string }) => check === 'port')).toMatchObject({ level: 'warning' });
  });

  test('a name of several routers is one way to them', async () => {
    const env = { MESH_ROLES: 'inference', MESH_PEER_AUTH: cli.mesh.url, MESH_PEER_ROUTER: `dns+${cli.mesh.url}` };
    const { findings } = await json(['doctor', '--port', String(await freePort())], '', env);
    const reached = findings.filter(({ check }: { check: string }) => check === 'reachability');
    expect(reached).toEqual([expect.objectContaining({ level: 'ok', what: `${cli.mesh.url} accepts connections` })]);
  });

  test('finds a device that is not there and a program that is not installed', async () => {
    const file = join(cli.directory, 'wanted.json');
    const models = [{ name: 'm', engine: 'vllm', model: 'Qwen/Qwen3-8B', devices: [7] }];
    writeFileSync(file, JSON.stringify({ inference: { models } }));
    const { code, out } = await cli.run(['doctor', '--config', file, '--port', '0']);
    expect([code, out]).toEqual([
      1,
      expect.stringMatching(/inference\.models 'm' names cuda:7.*\n.*\n?[\s\S]*vllm cannot be found/),
    ]);
  });
});

test('start is what npm start runs: it serves, and ends when it is told to', async () => {
  const port = await freePort();
  const env = { PATH: process.env.PATH ?? '', MESH_DATA_DIR: join(cli.directory, 'own') };
  const child = spawn(PROGRAM, ['start', '--model', 'none', '--port', String(port)], { cwd: cli.directory, env });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  await eventually('it listens', () => out.includes(`inference-mesh listens on http://127.0.0.1:${port}`));
  expect(existsSync(join(cli.directory, 'own/admin.key'))).toBe(true);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
  const refused = await runProgram(['start', '--nonsense'], cli.directory, env);
  expect([refused.code, refused.err]).toEqual([78, expect.stringContaining('nonsense')]);
});

test('help is quick to load: it loads no client and no service', async () => {
  const { out } = await cli.run(['--help'], { env: { NODE_DEBUG: '' } });
  expect(out).toContain('keys hash');
  const source = readFileSync(new URL('../../bin/cli/program.ts', import.meta.url), 'utf8');
  const loaded = [...source.matchAll(/^import (?!type).* from '([^']+)'/gm)].map(([, name]) => name);
  expect(loaded).toEqual(['commander', './command.ts', './exit-code.ts', './failure-line.ts']);
});
