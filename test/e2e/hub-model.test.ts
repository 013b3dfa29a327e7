import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { COMMIT, type FakeHub, startFakeHub } from '../harness/fake-hub.ts';
import { arrangements, startMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually, startProgram } from '../harness/processes.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');
const MODEL = readFileSync(RANDOM_MODEL);
const FILE = 'random-Q4_K_M.gguf';

let directory: string;
let hub: FakeHub;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-hub-'));
  hub = await startFakeHub({ [FILE]: MODEL, 'random-Q8_0.gguf': MODEL });
});
afterEach(async () => {
  await hub.stop();
  rmSync(directory, { recursive: true, force: true });
});

const start = (args: string[], env: Record<string, string> = {}) =>
  startProgram(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, '--data-dir', join(directory, 'data'), '--port', '0', ...args],
    { HF_ENDPOINT: hub.endpoint, ...env },
    directory,
  );

async function exitOf(args: string[], env: Record<string, string> = {}) {
  const program = start(args, env);
  await eventually('it ends', () => program.child.exitCode !== null);
  return { code: program.child.exitCode, output: program.output() };
}

const modelDirectory = () => join(directory, 'data', 'models', 'user--model');

/** How many bytes of the file that is being fetched are on the disk. */
function partBytes(): number {
  if (!existsSync(modelDirectory())) return 0;
  const part = readdirSync(modelDirectory()).find((name) => name.endsWith('.part'));
  return part === undefined ? 0 : statSync(join(modelDirectory(), part)).size;
}

test('a start that is killed in the middle is gone on with, and what is there needs no hub', async () => {
  hub.script.stallAfterBytes = 100_000;
  const killed = start(['--model', 'hf:user/model']);
  await eventually('a part is on the disk', () => partBytes() === 100_000);
  await killed.stop('SIGKILL');
  hub.script.stallAfterBytes = undefined;

  const resumed = start(['--model', 'hf:user/model']);
  await eventually('it runs', () => resumed.output().includes('curl -N'));
  expect(resumed.output()).toMatch(/model +random-Q4_K_M on /);
  expect(resumed.output()).toMatch(/"percent":100.*downloading random-Q4_K_M\.gguf/);
  expect(hub.transfers().map(({ range }) => range)).toEqual([undefined, 'bytes=100000-']);
  expect(hub.sentBytes()).toBe(MODEL.length);
  expect(await resumed.stop()).toBe(0);

  const requests = hub.requests.length;
  await hub.stop();
  const again = start(['--model', 'hf:user/model']);
  await eventually('it runs', () => again.output().includes('curl -N'));
  expect(again.output()).not.toContain('downloading');
  expect(hub.requests).toHaveLength(requests);
  expect(await again.stop()).toBe(0);
});

test('a model at an address is fetched once, without the token, and said to be unchecked', async () => {
  const address = `${hub.endpoint}/user/model/resolve/${COMMIT}/${FILE}`;
  const first = start(['--model', address], { HF_TOKEN: 'hf_secret_token' });
  await eventually('it runs', () => first.output().includes('curl -N'));
  expect(first.output()).toMatch(/model +random-Q4_K_M on /);
  expect(first.output()).toMatch(/no checksum is known for an address/);
  expect(hub.requests.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  expect(await first.stop()).toBe(0);

  await hub.stop();
  const again = start(['--model', address]);
  await eventually('it runs', () => again.output().includes('curl -N'));
  expect(again.output()).not.toContain('downloading');
  expect(await again.stop()).toBe(0);
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s in the middle ends it at once with 0 and keeps the part',
  async (signal) => {
    hub.script.stallAfterBytes = 100_000;
    const program = start(['--model', 'hf:user/model']);
    await eventually('a part is on the disk', () => partBytes() === 100_000);
    const askedAtMs = performance.now();
    expect(await program.stop(signal)).toBe(0);
    expect(performance.now() - askedAtMs).toBeLessThan(stretched(2_000));
    expect(partBytes()).toBe(100_000);
    expect(program.output()).not.toMatch(/error/i);
  },
);

describe('a model that cannot be had ends the start', () => {
  test.each<[string, string[], Record<string, string>, number, RegExp]>([
    ['another form', ['--model', 'hf:model'], {}, 78, /--model, MESH_MODEL: expected hf:user\/repository/],
    ['no such repository', ['--model', 'hf:user/other'], {}, 78, /--model hf:user\/other: .*\(404\)/],
    [
      'no such quantization',
      ['--model', 'hf:user/model:Q2_K'],
      {},
      78,
      /--model hf:user\/model:Q2_K: .*it has Q4_K_M, Q8_0/,
    ],
    ['not there and offline', ['--model', 'hf:user/model'], { HF_HUB_OFFLINE: '1' }, 78, /--model .*HF_HUB_OFFLINE/],
    ['an endpoint that is none', ['--model', 'hf:user/model'], { HF_ENDPOINT: 'hub' }, 78, /HF_ENDPOINT/],
    [
      'no hub',
      ['--model', 'hf:user/model'],
      { HF_ENDPOINT: 'http://127.0.0.1:1' },
      75,
      /cannot be reached.*ECONNREFUSED/,
    ],
    [
      'an address with a password',
      ['--model', 'https://user:word-of-pass@example.com/a.gguf'],
      {},
      78,
      /--model, MESH_MODEL: expected https:\/\/host\/path\/name\.gguf/,
    ],
    ['an address without a file name', ['--model', 'https://example.com/model'], {}, 78, /expected https:\/\/host/],
    ['an address without a server', ['--model', 'http://127.0.0.1:1/a.gguf'], {}, 75, /ECONNREFUSED.*the address/],
  ])('%s', async (_name, args, env, code, message) => {
    const ended = await exitOf(args, env);
    expect(ended.output).not.toContain('word-of-pass');
    expect(ended.output).toMatch(message);
    expect(ended.code).toBe(code);
  });

  test('in the file: line and field, or the name of the entry', async () => {
    const file = (model: string) =>
      writeFileSync(
        join(directory, 'mesh.yaml'),
        `inference:\n  models:\n    - { name: chat, engine: llama.cpp, model: "${model}" }\n`,
      );
    file('hf:model');
    expect(await exitOf([])).toMatchObject({
      code: 78,
      output: expect.stringMatching(/mesh\.yaml:3: inference\.models\.0\.model: expected hf:/),
    });
    file('http://example.com/a.gguf');
    expect(await exitOf([])).toMatchObject({
      code: 78,
      output: expect.stringMatching(
        /mesh\.yaml:3: inference\.models\.0\.model: expected https:.*http on loopback only/,
      ),
    });
    file('hf:user/other');
    expect(await exitOf([])).toMatchObject({
      code: 78,
      output: expect.stringMatching(/inference\.models 'chat': hf:user\/other: .*404/),
    });
  });
});

describe.each(arrangements())('%s', (arrangement) => {
  test.each(['flag', 'file'])('a model of a hub answers, named by %s', async (by) => {
    const models = [{ name: 'chat', engine: 'llama.cpp', model: 'hf:user/model:q8_0', required: true }];
    const mesh = await startMesh(arrangement, {
      env: { HF_ENDPOINT: hub.endpoint },
      ...(by === 'flag' ? { args: ['--model', 'hf:user/model:q8_0'] } : { config: { inference: { models } } }),
    });
    const answer = await fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${mesh.adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 4 }),
    });
    expect(answer.status).toBe(200);
    expect(hub.transfers()).toHaveLength(1);
    expect(readdirSync(join(mesh.dataDir('inference'), 'models', 'user--model'))).toContain('random-Q8_0.gguf');
    await mesh.stop();
  });
});
