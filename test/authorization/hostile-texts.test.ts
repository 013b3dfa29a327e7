import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DescMethod, JsonObject } from '@bufbuild/protobuf';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import type { TestMesh } from '../harness/mesh.ts';
import { authOf } from './cast.ts';
import { STORES, startMeshOn } from './mesh-on-store.ts';
import { monitorRedis, type RedisMonitor } from './redis-monitor.ts';
import { connectCall, rpcOutcome } from './rpc-outcome.ts';
import { type Header, openWire, type Wire } from './wire.ts';

/** In every text that is secret, so that it is found wherever one is kept or told. */
const SECRET = 'CaNaRy7421';

/** What takes texts apart that were put together carelessly. */
const HOSTILE = [
  "'",
  "' OR '1'='1",
  "'; DROP TABLE api_keys; --",
  '"',
  '\\',
  '\r\nFLUSHALL\r\n',
  '\r\n*1\r\n$8\r\nFLUSHALL\r\n',
  '*',
  '?[a-z]',
  '{}',
  '{auth}:first',
  '\0',
  '%00%0d%0a',
  '__proto__',
  'constructor',
  '../../../etc/passwd',
  '$(id)',
  '\u202e\u0000\ufeff',
  '😀'.repeat(20),
];

const HUGE = "'{}*\r\n\0".repeat(2_500);

describe.each(STORES)('hostile texts on %s', (store) => {
  let mesh: TestMesh;
  let wire: Wire;
  let monitor: RedisMonitor | undefined;
  let meshToken: string;

  beforeAll(async () => {
    mesh = await startMeshOn(store, { args: ['--model', 'none', '--log-level', 'trace'] });
    wire = openWire(mesh.url);
    meshToken = readFileSync(join(mesh.dataDir('auth'), 'mesh.token'), 'utf8').trim();
    if (mesh.redisUrl) monitor = await monitorRedis(mesh.redisUrl);
  });
  afterAll(async () => {
    wire?.close();
    monitor?.stop();
    await mesh?.stop();
  });

  /** Sends a call and tells how it ended; a text that broke something would end otherwise. */
  async function call(method: DescMethod, message: JsonObject, ...headers: Header[]): Promise<string> {
    const body = Buffer.from(JSON.stringify(message));
    const answer = await wire.http2(connectCall(method, body, headers));
    return rpcOutcome(method, answer) ?? 'LATE';
  }

  test('in every field of keys, users, organisations and models harm nothing, and no secret is told to the store', async () => {
    const admin: Header = ['x-api-key', mesh.adminKey];
    const { method } = AuthService;
    const endings = new Set<string>();
    for (const [index, text] of [...HOSTILE, HUGE].entries()) {
      const secret = `${SECRET}${text}`;
      // Names are no longer than 256 characters, and one is not another.
      const name = `${index}${text}`.slice(0, 200);
      const isHeader = /^[\x20-\x7e]+$/.test(secret);
      const calls = [
        call(method.authenticate, { credential: secret, clientIp: text }, ['mesh-token', meshToken]),
        ...(isHeader ? [call(method.listUsers, {}, ['x-api-key', secret.replaceAll(' ', '_')])] : []),
        call(method.createApiKey, { name, userId: name, organizationId: name, models: [name] }, admin),
        call(method.createApiKey, { tier: name }, admin),
        call(method.createApiKey, { allowedIpRanges: [name] }, admin),
        call(method.generateApiKey, { username: name }, admin),
        call(method.rotateApiKey, { keyId: text }, admin),
        call(method.revokeApiKey, { keyId: text }, admin),
        call(method.listApiKeys, { organizationId: text, pageToken: text }, admin),
        call(method.listUsers, { organizationId: text, pageToken: text }, admin),
        call(method.createUser, { userId: name, password: `${secret}-long`, organizationId: name }, admin),
        call(method.createUser, { userId: `user-${index}`, password: `${secret}-long`.slice(0, 200) }, admin),
        call(method.setPassword, { userId: name, newPassword: `${secret}-longer` }, admin),
        call(method.disableUser, { userId: name }, admin),
        call(method.listOrganizations, { pageToken: text }, admin),
        call(method.createOrganization, { organizationId: name, tier: name }, admin),
        call(method.login, { username: name, password: secret }),
        call(method.refreshToken, { refreshToken: secret }),
        call(RouterService.method.generate, { model: text, prompt: { text } }, admin),
      ];
      for (const ending of await Promise.all(calls)) endings.add(ending);
    }
    const known = [
      'ADMITTED',
      'CREDENTIAL_INVALID',
      'already_exists ALREADY_EXISTS',
      'resource_exhausted RATE_LIMIT_EXCEEDED',
    ];
    expect([...endings].filter((ending) => !known.includes(ending))).toEqual([]);
  });

  test('afterwards all is there as it was given', async () => {
    const auth = authOf(mesh);
    const { apiKeys } = await auth.listApiKeys({ pageSize: 1_000 });
    const names = new Set(apiKeys.map(({ name }) => name));
    expect(names).toContain('first admin key');
    for (const [index, text] of HOSTILE.entries()) expect(names).toContain(`${index}${text}`.slice(0, 200));
    const { apiKeys: ofStar } = await auth.listApiKeys({ organizationId: `${HOSTILE.indexOf('*')}*` });
    expect(ofStar.map(({ name }) => name)).toEqual([`${HOSTILE.indexOf('*')}*`]);
    const { users } = await auth.listUsers({ pageSize: 1_000 });
    expect(users.filter(({ userId }) => userId.startsWith('user-'))).toHaveLength(HOSTILE.length + 1);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test('the store, its commands, its files and the log have no secret, and every name in the store is ours', async () => {
    const commands = (await monitor?.commands()) ?? [];
    if (monitor) expect(commands.length).toBeGreaterThan(100);
    const told = commands.join('\n');
    const written = readdirSync(mesh.dataDir('auth'))
      .filter((file) => file.startsWith('mesh.db'))
      .map((file) => readFileSync(join(mesh.dataDir('auth'), file), 'latin1'));
    const logged = [...mesh.processes.values()].map((program) => program.output());
    for (const [where, text] of Object.entries({ told, written: written.join(), logged: logged.join() })) {
      for (const form of formsOf(SECRET)) expect([where, form, text.includes(form)]).toEqual([where, form, false]);
      expect([where, text.includes(mesh.adminKey)]).toEqual([where, false]);
    }
    expect((await namesIn(mesh.redisUrl)).filter((name) => !name.startsWith('mesh:'))).toEqual([]);
    expect(told).not.toMatch(/"(?:flushall|keys|config|debug)"/i);
  });

  test.runIf(process.platform === 'linux')('the list of processes shows no secret', () => {
    const lines = readdirSync('/proc').flatMap((pid) => (/^\d+$/.test(pid) ? commandLine(pid) : []));
    expect(lines.length).toBeGreaterThan(2);
    for (const secret of [SECRET, mesh.adminKey, meshToken]) {
      expect(lines.filter((line) => line.includes(secret))).toEqual([]);
    }
  });
});

/** The names of all that a Redis server keeps. */
async function namesIn(redisUrl: string | undefined): Promise<string[]> {
  if (redisUrl === undefined) return [];
  const redis = new Redis(redisUrl);
  try {
    return await redis.keys('*');
  } finally {
    redis.disconnect();
  }
}

/** A secret as careless code writes it down. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  // Without the last characters, which depend on what follows.
  return [secret, bytes.toString('base64').slice(0, -4), bytes.toString('hex')];
}

function commandLine(pid: string): string[] {
  try {
    return [readFileSync(join('/proc', pid, 'cmdline'), 'latin1')];
  } catch {
    // It has ended meanwhile.
    return [];
  }
}
