import { type Client, createClient, createRouterTransport } from '@connectrpc/connect';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { toConnectError } from '../shared/errors/connect-error.ts';
import { clientIpKey } from '../shared/interceptors/client-ip.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import type { Store } from '../shared/store/store.ts';
import { clientAs, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext } from './context.ts';
import { authRoutes } from './routes.ts';

const BURST = 5;

describeStores('GenerateApiKey', (stores) => {
  let nowMs: number;
  let store: Store;

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    store = await stores.openEmpty();
  });

  function start(isOpen: boolean): AuthContext {
    const log = pino({ level: 'silent' });
    const config = authConfigSchema.parse({ open_registration: isOpen });
    return createAuthContext(config, { store, pepper: Buffer.alloc(32, 1), now: () => nowMs, log });
  }

  async function keyOf(context: AuthContext, scopes: Scope[]): Promise<string> {
    return (await clientAs(context, PEER_PRINCIPAL).createApiKey({ userId: 'maker', scopes })).secret;
  }

  test('an admin makes a key for a user', async () => {
    const context = start(false);
    const secret = await keyOf(context, [Scope.ADMIN]);
    const made = await from(context, '192.0.2.1').generateApiKey({ username: 'ann' }, bearer(secret));
    const { principal } = await context.authenticate(made.secret, { clientIp: '' });
    expect(principal).toMatchObject({ userId: 'ann', organizationId: 'default', tier: 'standard' });
    expect(principal.scopes).toEqual([Scope.GENERATE]);
  });

  test('nobody else makes one, also not who manages keys', async () => {
    const context = start(false);
    const client = from(context, '192.0.2.1');
    const manager = await keyOf(context, [Scope.KEYS_MANAGE]);
    expect(await reasonOf(client.generateApiKey({ username: 'ann' }))).toBe('CREDENTIAL_MISSING');
    expect(await reasonOf(client.generateApiKey({ username: 'ann' }, bearer('wrong')))).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(client.generateApiKey({ username: 'ann' }, bearer(manager)))).toBe('SCOPE_MISSING');
    expect(
      (await context.keys.list({ organizationId: '', limit: 10, after: '' }, PEER_PRINCIPAL)).records,
    ).toHaveLength(1);
  });

  test('where registration is open anyone does, without becoming the user of that name', async () => {
    const context = start(true);
    const { secret, apiKey } = await from(context, '192.0.2.1').generateApiKey({ username: 'ann' });
    expect(apiKey).toMatchObject({ name: 'ann', userId: '' });
    const { principal } = await context.authenticate(secret, { clientIp: '' });
    expect(principal).toMatchObject({ userId: '', organizationId: 'default', tier: 'standard' });
    const again = await from(context, '192.0.2.1').generateApiKey({ username: 'admin' }, bearer(secret));
    expect(again.apiKey).toMatchObject({ userId: '', scopes: [Scope.GENERATE] });
    const wrong = from(context, '192.0.2.1').generateApiKey({ username: 'ann' }, bearer('wrong'));
    expect(await reasonOf(wrong)).toBe('CREDENTIAL_INVALID');
  });

  test('an address makes a few, then has to wait; others and admins go on', async () => {
    const context = start(true);
    const make = (address: string, headers = {}) =>
      reasonOf(from(context, address).generateApiKey({ username: 'ann' }, headers));
    const admin = await keyOf(context, [Scope.ADMIN]);
    for (let i = 0; i < BURST; i += 1) expect(await make(`2001:db8::${i + 1}`)).toBe('OK');
    expect(await make('2001:db8::9')).toBe('RATE_LIMIT_EXCEEDED');
    expect(await make('2001:db8:0:1::9')).toBe('OK');
    expect(await make('2001:db8::9', bearer(admin))).toBe('OK');
    nowMs += 60_000;
    expect(await make('2001:db8::9')).toBe('OK');
    expect(await make('2001:db8::9')).toBe('RATE_LIMIT_EXCEEDED');
  });
});

function bearer(credential: string): { headers: Record<string, string> } {
  return { headers: { authorization: `Bearer ${credential}` } };
}

/** The service as an address sees it. */
function from(context: AuthContext, address: string): Client<typeof AuthService> {
  const transport = createRouterTransport(authRoutes(context), {
    router: {
      interceptors: [
        (next) => (request) => {
          request.contextValues.set(clientIpKey, address);
          return next(request).catch((error: unknown) => Promise.reject(toConnectError(error)));
        },
      ],
    },
  });
  return createClient(AuthService, transport);
}
