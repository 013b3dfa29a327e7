import type { DescMethodUnary } from '@bufbuild/protobuf';
import { create, type DescMessage, type MessageInitShape, toJsonString } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { createKey } from '../../services/auth/api-key.ts';
import type { TestMesh } from '../harness/mesh.ts';
import { authOf } from './cast.ts';
import { everyMethod } from './every-service.ts';
import { STORES, startMeshOn } from './mesh-on-store.ts';
import { monitorRedis, type RedisMonitor } from './redis-monitor.ts';
import { connectCall, rpcOutcome, unreadableCall } from './rpc-outcome.ts';
import { openWire, type Wire } from './wire.ts';

/** All that a key can have that is no admin's. */
const SCOPES = Object.values(Scope).filter((scope) => scope !== Scope.UNSPECIFIED && scope !== Scope.ADMIN);

/** What only an admin may: an entry that leaves or joins this list is a decision. */
const ADMIN_PLANE = [
  'AuthService/CreateOrganization',
  'AuthService/CreateUser',
  'AuthService/DisableUser',
  'AuthService/EnableUser',
  'AuthService/ListOrganizations',
  'AuthService/ListUsers',
  'AuthService/RotateSigningKey',
  'InferenceService/TailLogs',
  'QuotaService/ListReservations',
  'QuotaService/SetLimits',
  'RegistryService/Drain',
];

describe.each(STORES)('two tenants on %s', (store) => {
  let mesh: TestMesh;
  let wire: Wire;
  let monitor: RedisMonitor | undefined;
  /** A key of the tenant that asks; one of the other, and an id that there is not. */
  let mine: string;
  let theirs: string;
  const missing = createKey().keyId;

  beforeAll(async () => {
    mesh = await startMeshOn(store, { args: ['--model', 'none'] });
    wire = openWire(mesh.url);
    const auth = authOf(mesh);
    mine = (await auth.createApiKey({ organizationId: 'one', scopes: SCOPES })).secret;
    theirs = (await auth.createApiKey({ organizationId: 'two', userId: 'bob' })).apiKey?.keyId ?? '';
    await auth.createUser({ userId: 'bob', organizationId: 'two', password: 'correct horse battery' });
    if (mesh.redisUrl) monitor = await monitorRedis(mesh.redisUrl);
  });
  afterAll(async () => {
    wire?.close();
    monitor?.stop();
    await mesh?.stop();
  });

  /** The answer to a call, and what the store was asked for it. */
  async function ask<I extends DescMessage>(method: DescMethodUnary<I>, message: MessageInitShape<I>) {
    const json = Buffer.from(toJsonString(method.input, create(method.input, message)));
    // The first call notes when the key was used last, and finds out who calls.
    const call = connectCall(method, json, [['x-api-key', mine]]);
    await wire.http2(call);
    const before = (await monitor?.commands())?.length ?? 0;
    const { status, body } = await wire.http2(call);
    const asked = (await monitor?.commands())?.slice(before).filter((line) => line.includes('mesh:auth'));
    return { status, body: body.toString(), asked: asked?.map((line) => line.replace(/^\S+ /, '')) };
  }

  /** The same, told with one id in place of the other: in clear, and in the bytes of an error's details. */
  function renamed(text: string): string {
    return text.replaceAll(theirs, missing).replaceAll(/"value":"([^"]+)"/g, (_, value: string) => {
      const bytes = Buffer.from(value, 'base64').toString('latin1').replaceAll(theirs, missing);
      return `"value":${JSON.stringify(bytes)}`;
    });
  }

  test.each(['rotateApiKey', 'revokeApiKey'] as const)(
    "%s: another tenant's key is as one that there is not",
    async (name) => {
      const method = AuthService.method[name] as DescMethodUnary;
      const [other, none] = [await ask(method, { keyId: theirs }), await ask(method, { keyId: missing })];
      expect(none.status).toBe(404);
      expect(JSON.parse(none.body)).toMatchObject({ code: 'not_found' });
      expect({ ...other, body: renamed(other.body) }).toMatchObject({ status: 404, body: renamed(none.body) });
      // As much work, so as much time: a look at the record, and nothing after it.
      expect(other.asked?.map((line) => renamed(line)).filter(isFromOutside)).toEqual(
        none.asked?.filter(isFromOutside),
      );
      if (monitor) expect(none.asked).not.toEqual([]);
      // It lives.
      const { apiKeys } = await authOf(mesh).listApiKeys({ organizationId: 'two' });
      expect(apiKeys.find(({ keyId }) => keyId === theirs)?.revokedAt).toBeUndefined();
    },
  );

  test('names of users and organisations of others are told from those that there are not by nothing', async () => {
    const { setPassword, listApiKeys } = AuthService.method;
    const newPassword = 'a new horse battery';
    const password = (userId: string) => ask(setPassword, { userId, newPassword, currentPassword: 'x' });
    expect(await password('bob')).toMatchObject({ status: 403, body: (await password('nobody')).body });
    const keys = (organizationId: string) => ask(listApiKeys, { organizationId });
    expect(await keys('two')).toMatchObject({ status: 403, body: (await keys('three')).body });
    const limits = (keyId: string) =>
      ask(QuotaService.method.getLimits, { principal: { keyId, organizationId: 'two' } });
    expect(await limits(theirs)).toMatchObject({ status: 403, body: (await limits(missing)).body });
  });

  test("a list shows a tenant's own keys alone", async () => {
    const { body } = await ask(AuthService.method.listApiKeys, {});
    expect(body).toContain('"one"');
    expect(body).not.toContain('two');
    expect(body).not.toContain('first admin key');
  });

  test('a tenant with every scope but one is refused all of the admin plane', async () => {
    const methods = await everyMethod();
    const admin = methods.filter(({ access }) => access.kind === 'scope' && access.scope === Scope.ADMIN);
    const names = admin.map(({ method }) => `${method.parent.name}/${method.name}`).sort();
    expect(names).toEqual(ADMIN_PLANE);
    for (const { method } of admin) {
      const answer = await wire.http2(unreadableCall(method, [['x-api-key', mine]], ''));
      expect([method.name, rpcOutcome(method, answer)]).toEqual([method.name, 'SCOPE_MISSING']);
    }
  });
});

/** Not one that a script of the server itself gave. */
function isFromOutside(line: string): boolean {
  return !line.includes(' lua] ');
}
