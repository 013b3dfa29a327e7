import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { randomCanary } from '../harness/canaries.ts';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');
const DAY = String.raw`\d{4}-\d\d-\d\d`;

let directory: string;
let port: number;
let program: RunningProgram | undefined;
let engine: FakeEngine | undefined;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-logs-'));
  port = await freePort();
});
afterEach(async () => {
  await program?.stop('SIGKILL');
  await engine?.stop();
  program = undefined;
  engine = undefined;
  rmSync(directory, { recursive: true, force: true });
});

const nodeArgs = (args: readonly string[]): string[] => [
  ...['--disable-warning=ExperimentalWarning', main, '--port', String(port), '--data-dir', join(directory, 'data')],
  ...args,
];

/** With `wrapped` another program starts it: it gets the rest of its command line. */
async function start(args: readonly string[], env: Record<string, string> = {}, wrapped: readonly string[] = []) {
  const [first = process.execPath, ...rest] = [...wrapped, process.execPath, ...nodeArgs(args)];
  program = startProgram(first, rest, env, directory);
  await eventually('it serves', isServing);
  return program;
}

const isServing = async (): Promise<boolean> => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok;
const logs = (name: string): string => join(directory, 'logs', name);
const read = (name: string): string => readFileSync(logs(name), 'utf8');
const linesOf = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

test('files are on by default, with the names and links of other systems; what is in them is JSON', async () => {
  const { stop, output } = await start(['--model', 'none']);
  await eventually('a request has its line', () => read('llm_requests.log').includes('"/healthz"'));
  expect(await stop()).toBe(0);
  for (const [link, kind] of [
    ['app.log', 'app'],
    ['llm_requests.log', 'requests'],
    ['errors.log', 'errors'],
  ] as const) {
    expect(readlinkSync(logs(link))).toMatch(new RegExp(`^${kind}_${DAY}\\.log$`));
  }
  const app = linesOf(read('app.log'));
  expect(app.at(-1)).toMatchObject({ level: 'info', msg: 'stopping', pid: expect.any(Number) });
  // Standard output has the same lines, and those of requests only where there are no files.
  for (const line of read('app.log').split('\n')) expect(output()).toContain(line);
  expect(output()).not.toContain('"/healthz"');
  expect(read('errors.log')).toBe('');
});

test('errors have a file of their own besides', async () => {
  const models = [{ name: 'gone', engine: 'llama.cpp', model: join(directory, 'none.gguf') }];
  writeFileSync(
    join(directory, 'mesh.yaml'),
    JSON.stringify({ inference: { devices: 'none', models }, server: { max_connections: 10 } }),
  );
  await start(['--log-dir', join(directory, 'elsewhere')]);
  const errors = () => linesOf(readFileSync(join(directory, 'elsewhere/errors.log'), 'utf8'));
  const [error] = await eventually('an error is logged', () => (errors().length > 0 ? errors() : undefined));
  expect(error).toMatchObject({ level: expect.stringMatching(/error|fatal/) });
  expect(readFileSync(join(directory, 'elsewhere/app.log'), 'utf8')).toContain(JSON.stringify(error?.msg));
  expect(existsSync(logs('app.log'))).toBe(false);
});

test('without files requests are lines of standard output; MESH_LOG_DIR says so', async () => {
  const { output } = await start(['--model', 'none'], { MESH_LOG_DIR: 'none' });
  await eventually('a request has its line', () => output().includes('"route":"/healthz"'));
  expect(readdirSync(directory)).not.toContain('logs');
});

test('a directory that cannot be used ends the start if it was named; else it is said once, and all goes on', async () => {
  writeFileSync(join(directory, 'logs'), 'a file');
  const named = spawnSync(process.execPath, nodeArgs(['--model', 'none', '--log-dir', 'logs']), {
    cwd: directory,
    encoding: 'utf8',
  });
  expect([named.status, named.stderr]).toEqual([
    78,
    expect.stringMatching(/observability\.log_dir: .*logs cannot be written/),
  ]);
  const { output } = await start(['--model', 'none']);
  expect(output().match(/there are no log files/g)).toHaveLength(1);
});

const CAN_MOUNT = spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

test.skipIf(!CAN_MOUNT)(
  'a full disk stops nothing and is told of once; it is used again when there is space',
  async () => {
    mkdirSync(logs(''));
    const full =
      'mount -t tmpfs -o size=64k none logs && head -c 1000000 /dev/zero 2>/dev/null > logs/filler; exec "$@"';
    const { child, output } = await start(['--model', 'none'], {}, ['unshare', '-Urm', 'sh', '-c', full, 'sh']);
    await eventually('it is told', async () => (await isServing()) && /cannot be written.*ENOSPC/.test(output()));
    for (let count = 0; count < 50; count += 1) expect(await isServing()).toBe(true);
    expect(output().match(/log files cannot be written/g)).toHaveLength(1);
    // The directory as the process sees it.
    const seen = `/proc/${child.pid}/root${logs('')}`;
    rmSync(join(seen, 'filler'));
    const mended = () =>
      linesOf(readFileSync(join(seen, 'app.log'), 'utf8')).find(({ lostLines }) => lostLines !== undefined);
    const line = await eventually('it is used again', async () => ((await isServing()) ? mended() : undefined));
    expect(line).toMatchObject({ level: 'warn', lostLines: expect.any(Number) });
    expect(line.lostLines).toBeGreaterThan(0);
    expect(output().match(/log files cannot be written/g)).toHaveLength(1);
  },
);

test('a reader of standard output who stands still stops neither requests nor the end', async () => {
  const child = spawn(process.execPath, nodeArgs(['--model', 'none', '--log-dir', 'none']), {
    ...{ cwd: directory, stdio: ['ignore', 'pipe', 'ignore'] },
  });
  try {
    await eventually('it serves', isServing);
    // Each has a line; a pipe takes 64 KiB.
    for (let round = 0; round < 30; round += 1) {
      const answers = await Promise.all(Array.from({ length: 20 }, isServing));
      expect(answers.every(Boolean)).toBe(true);
    }
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  } finally {
    child.kill('SIGKILL');
  }
});

test('standard output on a full disk, or that nobody reads any more, stops nothing', async () => {
  for (const stdout of [openSync('/dev/full', 'w'), 'pipe'] as const) {
    const child = spawn(process.execPath, nodeArgs(['--model', 'none']), {
      ...{ cwd: directory, stdio: ['ignore', stdout, 'pipe'] },
    });
    try {
      let told = '';
      child.stderr?.on('data', (chunk) => {
        told += chunk;
      });
      child.stdout?.destroy();
      await eventually('it serves', isServing);
      child.kill('SIGTERM');
      expect(await once(child, 'close')).toEqual([0, null]);
      expect(told.match(/standard output cannot be written/g) ?? []).toHaveLength(stdout === 'pipe' ? 0 : 1);
      expect(linesOf(read('app.log')).at(-1)).toMatchObject({ msg: 'stopping' });
    } finally {
      child.kill('SIGKILL');
    }
  }
});

test('bodies are in the lines of requests only where that is wanted, and secrets not even then', async () => {
  const prompt = randomCanary('prompt');
  const text = randomCanary('completion');
  engine = await startFakeEngine({ tokens: 2, texts: [text], models: ['big'] });
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  const config = { inference: { devices: 'none', models }, observability: { log_bodies: true } };
  writeFileSync(join(directory, 'mesh.yaml'), JSON.stringify(config));
  await start([]);
  const keyFile = join(directory, 'data/admin.key');
  const key = await eventually('there is a key', () => readFileSync(keyFile, 'utf8').trim());
  await eventually('it is ready', async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok);
  const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` } },
    body: JSON.stringify({
      model: 'big',
      messages: [{ role: 'user', content: `${prompt}, and my key is ${key}.` }],
      max_tokens: 2,
    }),
  });
  expect(answer.status).toBe(200);
  const all = await eventually('its line', () =>
    read('llm_requests.log').includes(text) ? read('llm_requests.log') : undefined,
  );
  const line = linesOf(all).find(({ answers }) => answers !== undefined);
  expect(line).toMatchObject({
    prompt: expect.stringContaining(`${prompt}, and my key is [secret].`),
    answers: [expect.stringContaining(text)],
  });
  expect(all).not.toContain(key.split('_')[2]);
});
