import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';

const node = resolve(import.meta.dirname, '../../bin/node.sh');
const main = resolve(import.meta.dirname, '../../services/main.ts');
const STRONG = 'sk-1a2b3c4d5e6f7g8h9i0jklmnopq';

let directory: string;
let program: RunningProgram | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-'));
});
afterEach(async () => {
  await program?.stop('SIGKILL');
  rmSync(directory, { recursive: true });
});

function start(env: Record<string, string>, ...args: string[]): RunningProgram {
  program = startProgram('sh', [node, main, '--model', 'none', ...args], env, directory);
  return program;
}

async function exitCode(running: RunningProgram): Promise<number> {
  return await eventually('it ends', () => running.child.exitCode ?? undefined, 50_000);
}

test('keys of API_KEYS have tier queue; weak ones are accepted on loopback, with a warning', async () => {
  const port = await freePort();
  const running = start({ API_KEYS: ` dev-key, ${STRONG},` }, '--port', String(port));
  const models = (key: string) => fetch(`http://127.0.0.1:${port}/v1/models`, { headers: { 'x-api-key': key } });
  await eventually('ready', async () => (await models('none')).status === 401, 50_000);
  for (const key of ['dev-key', STRONG]) {
    const answer = await models(key);
    expect([answer.status, answer.headers.get('x-ratelimit-limit-minute')]).toEqual([200, '60']);
  }
  expect(running.output()).toContain('can be guessed');
  expect(running.output()).not.toMatch(/dev-key|sk-1a2b/);
  expect(readFileSync(join(directory, '.mesh/mesh.db')).includes('dev-key')).toBe(false);
});

test('where others reach the port, weak keys end the start with 78', async () => {
  const running = start({ API_KEYS: `dev-key,${STRONG}`, MESH_HOST: '0.0.0.0' }, '--check-config');
  expect(await exitCode(running)).toBe(78);
  expect(running.output()).toMatch(/API_KEYS: 1 of the keys .*auth\.allow_weak_keys or MESH_ALLOW_WEAK_KEYS=1/);
  expect(running.output()).not.toContain('dev-key');
});

test.each<Record<string, string>>([
  { API_KEYS: 'dev-key', MESH_HOST: '0.0.0.0', MESH_ALLOW_WEAK_KEYS: '1' },
  { API_KEYS: STRONG, MESH_HOST: '0.0.0.0' },
  { API_KEYS: 'dev-key' },
])('accepted, and masked: %o', async (env) => {
  const running = start(env, '--check-config');
  expect(await exitCode(running)).toBe(0);
  expect(running.output()).toContain('"environmentKeys"');
  expect(running.output()).not.toMatch(/dev-key|sk-1a2b/);
});
