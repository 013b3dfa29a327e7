import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { hashSync } from '@node-rs/bcrypt';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';
import { hasRedis, startRedis } from '../harness/redis.ts';

const node = resolve(import.meta.dirname, '../../bin/node.sh');
const main = resolve(import.meta.dirname, '../../services/main.ts');
const PASSWORD = 'correct horse battery';
const KEY = 'sk-1a2b3c4d5e6f7g8h9i0jklmnopq';

/** One file per system, with a key of its own. */
const FILES: readonly (readonly [system: string, file: string, content: string])[] = [
  ['a', 'config.json', JSON.stringify({ api_keys: [`${KEY}a`], users: { ann: hashSync(PASSWORD, 4) } })],
  ['b', '.env', `API_KEYS=${KEY}b\n`],
  ['d', 'config.yaml', `api_keys: { ${KEY}d: { user_id: dave, tier: premium } }\n`],
  ['e', 'keys.json', JSON.stringify({ eve: `${KEY}e` })],
];

describe.each(hasRedis() ? ['SQLite', 'Redis'] : ['SQLite'])('accounts imported by the command, %s', (kind) => {
  let directory: string;
  let redis: { url: string; server: RunningProgram } | undefined;
  let env: Record<string, string>;
  let mesh: RunningProgram;
  let url: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'mesh-'));
    env = { MESH_DATA_DIR: join(directory, 'data') };
    if (kind === 'Redis') {
      redis = await startRedis();
      const pepperFile = join(directory, 'pepper');
      writeFileSync(pepperFile, 'test-pepper-0123456789abcdef0123456789abcdef');
      const store = { REDIS_URL: redis.url, MESH_PEPPER_FILE: pepperFile };
      env = { ...env, ...store, MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef' };
    }
    for (const [system, file, content] of FILES) {
      mkdirSync(join(directory, system));
      writeFileSync(join(directory, system, file), content);
      const { code, text } = run(system, '--import', file);
      expect([code, text]).toEqual([0, expect.stringContaining(`imported 1 keys and ${system === 'a' ? 1 : 0} users`)]);
    }
    const port = await freePort();
    const config = join(directory, 'mesh.json');
    writeFileSync(config, JSON.stringify({ server: { store_timeout_ms: 1_500 } }));
    const args = ['--config', config, '--model', 'none', '--port', String(port)];
    mesh = startProgram('sh', [node, main, ...args], env, directory);
    url = `http://127.0.0.1:${port}`;
    await eventually('ready', async () => (await statusOf('none')) === 401, 60_000);
  }, 180_000);
  afterAll(async () => {
    await mesh?.stop();
    await redis?.server.stop('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });

  function run(cwd: string, ...args: string[]): { code: number | null; text: string } {
    const { PATH = '', HOME = '' } = process.env;
    const options = { cwd: join(directory, cwd), env: { PATH, HOME, ...env }, encoding: 'utf8' } as const;
    const result = spawnSync('sh', [node, main, ...args], options);
    return { code: result.status, text: result.stdout + result.stderr };
  }

  async function statusOf(key: string): Promise<number> {
    return (await fetch(`${url}/v1/models`, { headers: { 'x-api-key': key } })).status;
  }

  async function login(password: string): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ username: 'ann', password });
    return await fetch(`${url}/auth/login`, { method: 'POST', headers, body });
  }

  /** All that the store holds, and what it holds of the user's password, past all services. */
  async function stored(): Promise<{ all: string; hash: string }> {
    if (!redis) return fromSqlite(join(directory, 'data', 'mesh.db'));
    return await fromRedis(redis.url);
  }

  test('a mesh on the same store knows the keys of every file, and the store none of them in the clear', async () => {
    for (const [system] of FILES) expect([system, await statusOf(`${KEY}${system}`)]).toEqual([system, 200]);
    expect(await statusOf(`${KEY}z`)).toBe(401);
    const { all } = await stored();
    expect(all).toContain('dave');
    expect(all).not.toContain(KEY);
  });

  test('a user logs in with the old password, whose bcrypt hash becomes argon2id', async () => {
    expect((await stored()).hash).toMatch(/^\$2[aby]\$/);
    expect((await login('something else')).status).toBe(401);
    expect((await stored()).hash).toMatch(/^\$2[aby]\$/);
    const first = await login(PASSWORD);
    expect(first.status).toBe(200);
    const { access_token: token } = (await first.json()) as { access_token: string };
    await eventually('the hash is another', async () => (await stored()).hash.startsWith('$argon2id$'), 20_000);
    expect((await login(PASSWORD)).status).toBe(200);
    expect((await login('something else')).status).toBe(401);
    expect(await statusOf(token)).toBe(200);
  });
});

function fromSqlite(file: string): { all: string; hash: string } {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const row = database.prepare("SELECT password_hash FROM auth_users WHERE user_id = 'ann'").get();
    return {
      all: readFileSync(file, 'latin1') + readFileSync(`${file}-wal`, 'latin1'),
      hash: String(row?.password_hash),
    };
  } finally {
    database.close();
  }
}

async function fromRedis(url: string): Promise<{ all: string; hash: string }> {
  const redis = new Redis(url);
  try {
    const values: unknown[] = [];
    for (const key of await redis.keys('*')) {
      const type = await redis.type(key);
      if (type === 'hash') values.push(key, await redis.hgetall(key));
      else if (type === 'zset') values.push(key, await redis.zrange(key, '0', '-1'));
      else values.push(key, await redis.get(key));
    }
    return { all: JSON.stringify(values), hash: (await redis.hget('mesh:auth:{auth}:user:ann', 'hash')) ?? '' };
  } finally {
    redis.disconnect();
  }
}
