import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { BUILT_IN_TIERS } from '../../services/quota/tiers.ts';
import { scopeName } from '../../services/shared/interceptors/authorize.ts';
import type { TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

/** The model that the mesh of these tests serves. */
export const MODEL = 'fake';

const PASSWORD = 'correct horse battery';

/** How long the key that expires is valid, in milliseconds. */
const SHORT_MS = 1_500;

/** Somebody with a good key and a good token that can do the same. */
export interface Persona {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Empty: all. */
  readonly models: readonly string[];
  readonly key: string;
  /** Unset where a restriction is one that users do not have. */
  readonly token: string | undefined;
}

type Admin = Persona & { readonly token: string };

/** Everybody who calls. */
export interface Cast {
  readonly personas: readonly Persona[];
  readonly admin: Admin;
  /** Credentials that were good once, by what ended them. */
  readonly ended: Readonly<Record<string, string>>;
  /** A key that is good in BOUND_ADDRESS's network alone, with all scopes. */
  readonly bound: string;
}

/** An address in the network of the bound key, and one outside of it. */
export const BOUND_ADDRESS = '203.0.113.9';

const SCOPES = Object.values(Scope).filter(
  (scope) => typeof scope === 'number' && scope !== Scope.UNSPECIFIED,
) as Scope[];
const ALL_BUT_ADMIN = SCOPES.filter((scope) => scope !== Scope.ADMIN);

/** One restriction each: every scope alone, all but the highest, no model, and every tier with what every key has. */
const RESTRICTIONS: readonly { name: string; scopes: readonly Scope[]; models?: string[]; tier?: string }[] = [
  ...SCOPES.map((scope) => ({ name: `scope ${scopeName(scope)} alone`, scopes: [scope] })),
  { name: 'every scope but admin', scopes: ALL_BUT_ADMIN },
  { name: 'no model that there is', scopes: [Scope.GENERATE], models: ['another'] },
  ...Object.keys(BUILT_IN_TIERS).map((tier) => ({ name: `tier ${tier}`, scopes: [Scope.GENERATE], tier })),
];

/** An admin's way to auth. */
export function authOf(mesh: TestMesh): Client<typeof AuthService> {
  const transport = createConnectTransport({
    baseUrl: mesh.url,
    httpVersion: '2',
    interceptors: [
      (next) => (request) => {
        request.header.set('authorization', `Bearer ${mesh.adminKey}`);
        return next(request);
      },
    ],
  });
  return createClient(AuthService, transport);
}

/** Makes everybody. */
export async function makeCast(mesh: TestMesh): Promise<Cast> {
  const auth = authOf(mesh);
  const personas: Persona[] = [];
  for (const [index, { name, scopes, models = [], tier = 'unlimited' }] of RESTRICTIONS.entries()) {
    const userId = `user-${index}`;
    await auth.createUser({ userId, password: PASSWORD, tier, scopes: [...scopes] });
    const token = models.length === 0 ? await tokenOf(auth, userId) : undefined;
    const { secret } = await auth.createApiKey({ name, userId, tier, scopes: [...scopes], models });
    personas.push({ name, scopes, models, key: secret, token });
  }
  const admin = personas.find((persona): persona is Admin => persona.scopes.includes(Scope.ADMIN));
  if (!admin) throw new Error('one of them is an admin');
  const bound = await auth.createApiKey({ scopes: [Scope.ADMIN], allowedIpRanges: ['203.0.113.0/24'] });
  return { personas, admin, ended: await makeEnded(auth), bound: bound.secret };
}

async function makeEnded(auth: Client<typeof AuthService>): Promise<Record<string, string>> {
  const endsAtMs = Date.now() + SHORT_MS;
  const scopes = [Scope.ADMIN];
  const expired = await auth.createApiKey({ scopes, expiresAt: timestampFromMs(endsAtMs) });
  const revoked = await auth.createApiKey({ scopes });
  await auth.revokeApiKey({ keyId: revoked.apiKey?.keyId ?? '' });
  const rotated = await auth.createApiKey({ scopes });
  await auth.rotateApiKey({ keyId: rotated.apiKey?.keyId ?? '', grace: { seconds: 0n } });
  await auth.createUser({ userId: 'gone', password: PASSWORD, tier: 'unlimited', scopes });
  const ofDisabled = await auth.createApiKey({ userId: 'gone', scopes });
  const disabledToken = await tokenOf(auth, 'gone');
  await auth.disableUser({ userId: 'gone' });
  await eventually('the key has expired', () => Date.now() > endsAtMs);
  return {
    'an expired key': expired.secret,
    'a revoked key': revoked.secret,
    'a key that was rotated': rotated.secret,
    'the key of a disabled user': ofDisabled.secret,
    'the token of a disabled user': disabledToken,
  };
}

async function tokenOf(auth: Client<typeof AuthService>, username: string): Promise<string> {
  return (await auth.login({ username, password: PASSWORD })).accessToken;
}
