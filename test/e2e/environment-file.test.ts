import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';

const node = resolve(import.meta.dirname, '../../bin/node.sh');
const main = resolve(import.meta.dirname, '../../services/main.ts');
const KEY = 'sk-1a2b3c4d5e6f7g8h9i0jklmnopq';
const READY_MS = 100_000;

let directory: string;
let engine: FakeEngine;
let program: RunningProgram | undefined;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-'));
  engine = await startFakeEngine({ tokens: 2, models: ['org/tiny'] });
});
afterEach(async () => {
  await program?.stop('SIGKILL');
  await engine.stop();
  rmSync(directory, { recursive: true });
});

test('a .env of the task queue and of the tiered gateway starts a mesh that generates and takes HTTPS only', async () => {
  const port = await freePort();
  const lines = [
    ...[`API_KEYS=${KEY}`, 'MODEL_BACKEND=openai', `VLLM_BASE_URL=http://127.0.0.1:${engine.port}`],
    ...['VLLM_DEFAULT_MODEL="org/tiny"', 'REQUIRE_HTTPS=true', 'LOG_LEVEL=ERROR # quiet', 'MESH_PORT=1'],
  ];
  writeFileSync(join(directory, '.env'), lines.join('\n'));
  program = startProgram('sh', [node, main], { MESH_PORT: String(port) }, directory);

  const url = `http://127.0.0.1:${port}`;
  const headers = { 'content-type': 'application/json', 'x-api-key': KEY };
  const chat = async (more: Record<string, string> = {}) => {
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] });
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...headers, ...more },
      body,
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const rpc = async (more: Record<string, string> = {}): Promise<number> => {
    const init = { method: 'POST', headers: { ...headers, ...more }, body: '{}' };
    return (await fetch(`${url}/mesh.router.v1.RouterService/ListModels`, init)).status;
  };
  await eventually('ready', async () => (await chat()).status === 200, READY_MS);
  expect((await chat()).body).toMatchObject({ model: 'org/tiny' });
  expect(await rpc()).toBe(200);

  const elsewhere = { 'x-forwarded-for': '203.0.113.7' };
  const refused = await chat(elsewhere);
  expect(refused).toMatchObject({ status: 403, body: { error: { code: 'https_required' } } });
  expect(refused.body.detail).toMatch(/HTTPS only/);
  expect((await fetch(`${url}/health`, { headers: elsewhere })).status).toBe(403);
  expect(await rpc(elsewhere)).toBe(403);
  const secured = { ...elsewhere, 'x-forwarded-proto': 'https' };
  expect((await chat(secured)).status).toBe(200);
  expect(await rpc(secured)).toBe(200);
});

test('a slip of the pen in .env ends the start with 78, file and line', async () => {
  writeFileSync(join(directory, '.env'), `API_KEYS="${KEY}\nMODEL_BACKEND=ollama\n`);
  program = startProgram('sh', [node, main, '--port', '0'], {}, directory);
  const { child } = program;
  expect(await eventually('it ends', () => child.exitCode ?? undefined, READY_MS)).toBe(78);
  expect(program.output()).toMatch(/\.env:1: the value begins with " and does not end with it/);
  expect(program.output()).not.toContain(KEY);
});
