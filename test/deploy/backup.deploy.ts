import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';
import { hasRedis, startDurableRedis } from '../harness/redis.ts';
import { ROOT } from './compose-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'backup-'));
const running: RunningProgram[] = [];
afterAll(async () => {
  for (const program of running) await program.stop('SIGKILL');
  rmSync(directory, { recursive: true });
});

async function startMesh(dataDir: string, env: Record<string, string> = {}) {
  const port = await freePort();
  const args = [join(ROOT, 'bin/node.sh'), join(ROOT, 'services/main.ts'), '--model', 'none'];
  const program = startProgram('sh', [...args, '--port', String(port), '--data-dir', dataDir], env, directory);
  running.push(program);
  const url = `http://127.0.0.1:${port}`;
  await eventually('the mesh listens', async () => (await fetch(`${url}/healthz`)).ok);
  return { program, url, adminKey: readFileSync(join(dataDir, 'admin.key'), 'utf8').trim() };
}

async function createKey(url: string, adminKey: string, name: string): Promise<string> {
  const response = await fetch(`${url}/mesh.auth.v1.AuthService/CreateApiKey`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  return ((await response.json()) as { secret: string }).secret;
}

const isKnown = async (url: string, key: string): Promise<boolean> =>
  (await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status === 200;

test('the embedded store is copied while the mesh writes to it, and another mesh goes on from the copy', async () => {
  const dataDir = join(directory, 'data');
  const copy = join(directory, 'copy');
  const { url, adminKey } = await startMesh(dataDir);
  const before = await createKey(url, adminKey, 'before');
  // Written to all the while.
  const meanwhile = Promise.all(Array.from({ length: 200 }, (_, index) => createKey(url, adminKey, `k${index}`)));
  const command = [
    join(ROOT, 'bin/node.sh'),
    join(ROOT, 'bin/inference-mesh.ts'),
    'backup',
    copy,
    '--data-dir',
    dataDir,
  ];
  const backup = startProgram('sh', command, {}, directory);
  await eventually('the copy is made', () => backup.child.exitCode !== null);
  expect([backup.child.exitCode, backup.output().trim().split('\n')]).toEqual([
    0,
    ['mesh.db', 'pepper', 'mesh.token', 'admin.key'],
  ]);
  await meanwhile;
  const after = await createKey(url, adminKey, 'after');

  const restored = await startMesh(copy);
  expect(await isKnown(restored.url, before)).toBe(true);
  expect(await isKnown(restored.url, after)).toBe(false);
  expect(await isKnown(restored.url, restored.adminKey)).toBe(true);
  // Nothing is written over.
  expect(spawnSync('sh', command, { cwd: directory }).status).toBe(78);
});

test.skipIf(!hasRedis())('Redis is copied while it runs, and another one goes on from the copy', async () => {
  const data = mkdtempSync(join(directory, 'redis-'));
  const first = await startDurableRedis(data);
  running.push(first.server);
  const env = { MESH_PEPPER_FILE: join(directory, 'pepper'), MESH_TOKEN: 'x'.repeat(64) };
  spawnSync('sh', ['-c', `openssl rand -hex 32 > ${env.MESH_PEPPER_FILE}`]);
  const mesh = await startMesh(join(directory, 'on-redis'), { ...env, REDIS_URL: first.url });
  const key = await createKey(mesh.url, mesh.adminKey, 'on redis');

  const target = join(directory, 'redis-copy');
  const backup = spawnSync('sh', [join(ROOT, 'deploy/redis/backup.sh'), data, target], {
    env: { PATH: process.env.PATH, REDIS_CLI: `redis-cli -p ${new URL(first.url).port}` },
    encoding: 'utf8',
  });
  expect([backup.status, backup.stderr]).toEqual([0, '']);
  // Rewriting goes on as before.
  const cli = ['-p', new URL(first.url).port, 'config', 'get', 'auto-aof-rewrite-percentage'];
  expect(spawnSync('redis-cli', cli, { encoding: 'utf8' }).stdout.trim().split('\n').at(-1)).toBe('100');
  await mesh.program.stop('SIGTERM');
  await first.server.stop('SIGKILL');

  const second = await startDurableRedis(target);
  running.push(second.server);
  const restored = await startMesh(join(directory, 'on-redis'), { ...env, REDIS_URL: second.url });
  expect(await isKnown(restored.url, key)).toBe(true);
});
