import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { eventually, freePort, startProgram } from '../harness/processes.ts';

const node = resolve(import.meta.dirname, '../../bin/node.sh');
const main = resolve(import.meta.dirname, '../../services/main.ts');
const KEY = 'sk-1a2b3c4d5e6f7g8h9i0jklmnopq';
const BCRYPT = '$2b$04$abcdefghijklmnopqrstuuW4MBlGJ1rjSwGTuNFjpdnCvkcE3AXT6';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function write(name: string, content: unknown): string {
  writeFileSync(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content));
  return name;
}

function run(...args: string[]) {
  const { PATH = '', HOME = '' } = process.env;
  const result = spawnSync('sh', [node, main, ...args], { cwd: directory, env: { PATH, HOME }, encoding: 'utf8' });
  return { code: result.status, text: result.stdout + result.stderr };
}

const written = () => parse(readFileSync(join(directory, 'mesh.yaml'), 'utf8'));

const A = {
  api_keys: [KEY],
  users: { ann: BCRYPT },
  model_name: 'org/tiny',
  max_tokens: 500,
  temperature: 0.2,
  debug: true,
};
const B = `API_KEYS=${KEY},${KEY}2\nMODEL_BACKEND=ollama\nOLLAMA_MODEL=qwen3:8b\nTASK_TIME_LIMIT=60\n`;
const D = `server: { host: 127.0.0.1, port: 8080, workers: 4 }
vllm: { base_url: "http://127.0.0.1:8001", default_model: org/tiny }
api_keys: { ${KEY}: { user_id: ann, tier: gold } }
rate_limits: { gold: { requests_per_minute: 60, requests_per_hour: 600 } }
`;

test.each<[string, string, unknown, RegExp, object | undefined]>([
  [
    'config.json of a chat server',
    'config.json',
    A,
    /1 keys and 1 users[\s\S]*not taken over: debug/,
    {
      inference: { models: [{ name: 'tiny', engine: 'vllm', model: 'org/tiny' }] },
      facade: { chat: { max_tokens: 500, temperature: 0.2 } },
    },
  ],
  [
    '.env of a task queue',
    '.env',
    B,
    /2 keys and 0 users[\s\S]*not taken over: TASK_TIME_LIMIT/,
    { inference: { models: [{ name: 'qwen3:8b', engine: 'ollama', model: 'qwen3:8b' }] } },
  ],
  [
    'config.yaml with tiers',
    'config.yaml',
    D,
    /1 keys and 0 users[\s\S]*server.workers: .*ignored/,
    {
      server: { host: '127.0.0.1', port: 8080 },
      quota: { tiers: { gold: { requests_per_minute: 60, requests_per_hour: 600 } } },
      inference: {
        models: [{ name: 'vllm', engine: 'openai', base_url: 'http://127.0.0.1:8001/v1', model: 'org/tiny' }],
      },
    },
  ],
  ['keys by user', 'keys.json', { ann: KEY, bob: `${KEY}2` }, /2 keys and 0 users/, undefined],
  ['a list of keys', 'keys.json', [{ username: 'ann', api_key: KEY }], /1 keys and 0 users/, undefined],
])('%s', (_name, file, content, told, settings) => {
  write(file, content);
  const asConfig = run('--config', file, '--check-config');
  expect([asConfig.code, asConfig.text]).toEqual([78, expect.stringContaining(`--import ${file}`)]);
  const { code, text } = run('--import', file);
  expect([code, text]).toEqual([0, expect.stringMatching(told)]);
  expect(text + asConfig.text).not.toContain(KEY);
  expect(text).not.toContain(BCRYPT);
  expect(existsSync(join(directory, 'mesh.yaml'))).toBe(settings !== undefined);
  if (settings) expect(written()).toEqual(settings);
  expect(readFileSync(join(directory, '.mesh/mesh.db')).includes(KEY)).toBe(false);
});

test('an existing mesh.yaml is not overwritten, and then nothing is imported', () => {
  write('mesh.yaml', 'server: { port: 0 }\n');
  const { code, text } = run('--import', write('config.json', A));
  expect([code, text]).toEqual([78, expect.stringMatching(/mesh\.yaml: exists and is not overwritten/)]);
  expect(written()).toEqual({ server: { port: 0 } });
  expect(existsSync(join(directory, '.mesh'))).toBe(false);
});

test('what cannot be taken over is refused before anything changes, without naming a key', () => {
  const bad = [
    run('--import', write('a.json', { ...A, users: { ann: 'plain-text' } })),
    run('--import', write('d.yaml', D.replace('tier: gold', 'tier: none'))),
    run('--import', write('weak.yaml', D.replace('127.0.0.1, port', '0.0.0.0, port').replace(KEY, 'dev-key'))),
    run('--import', write('x.txt', 'nothing of this\n')),
    run('--import', 'missing.json'),
  ];
  expect(bad.map(({ code }) => code)).toEqual([78, 78, 78, 78, 78]);
  const said = [
    /user 'ann'/,
    /no tier 'none'/,
    /MESH_ALLOW_WEAK_KEYS=1/,
    /none of what can be imported/,
    /cannot be read/,
  ];
  for (const [i, { text }] of bad.entries()) {
    expect(text).toMatch(said[i] ?? /never/);
    expect(text).not.toMatch(/sk-1a2b|dev-key|plain-text/);
  }
  expect(existsSync(join(directory, '.mesh')) || existsSync(join(directory, 'mesh.yaml'))).toBe(false);
});

test('a weak key that was taken on loopback ends a start where others reach the port', () => {
  expect(run('--import', write('keys.json', { ann: 'dev-key' })).text).toContain('1 keys can be guessed');
  const { code, text } = run('--model', 'none', '--host', '0.0.0.0', '--port', '0');
  expect([code, text]).toEqual([78, expect.stringMatching(/1 imported keys .*MESH_ALLOW_WEAK_KEYS=1/)]);
});

test('a default password ends an import and a start where others reach the port', async () => {
  const known = await bcrypt('admin123', 4);
  const imported = write('config.json', { ...A, users: { root: known } });
  write('mesh-public.yaml', `auth: { users: [{ name: root, password_hash: "${known}" }] }\n`);
  const refused = [
    run('--host', '0.0.0.0', '--import', imported),
    run('--host', '0.0.0.0', '--port', '0', '--model', 'none', '--config', 'mesh-public.yaml'),
  ];
  for (const { code, text } of refused) {
    expect([code, text]).toEqual([78, expect.stringMatching(/user 'root' has a password that everybody knows/)]);
    expect(text).not.toContain('admin123');
  }
  expect(run('--import', imported).text).toContain('1 keys and 1 users');
});

test('several files at once, again without harm; the mesh then knows the keys', async () => {
  write('keys.json', { ann: KEY });
  write('config.json', { api_keys: [`${KEY}3`] });
  expect(run('--import', 'keys.json', '--import', 'config.json').text).toContain('imported 2 keys');
  expect(run('--import', 'keys.json').text).toMatch(/imported 0 keys[\s\S]*left as they were: 1 keys/);
  const port = await freePort();
  const mesh = startProgram('sh', [node, main, '--model', 'none', '--port', String(port)], {}, directory);
  try {
    const status = (key: string) =>
      fetch(`http://127.0.0.1:${port}/v1/models`, { headers: { 'x-api-key': key } }).then((answer) => answer.status);
    await eventually('ready', async () => (await status('none')) === 401, 50_000);
    expect(await Promise.all([status(KEY), status(`${KEY}3`)])).toEqual([200, 200]);
  } finally {
    await mesh.stop();
  }
});
