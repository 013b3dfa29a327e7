import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import {
  AuthenticateResponseSchema,
  AuthService,
  WatchRevocationsResponseSchema,
} from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { CredentialKind, PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { fromConnectError, toConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { createPrincipals } from './principals.ts';
import type { Revocation } from './revocation.ts';

const log = pino({ level: 'silent' });
const ann = create(PrincipalSchema, {
  ...{ kind: CredentialKind.API_KEY, keyId: 'k', userId: 'ann' },
  ...{ scopes: [Scope.ADMIN], models: ['claimed'], tier: 'claimed' },
});

/** What asks an auth that keeps what it is asked, and revokes the key "k" on demand. */
function fixture() {
  const asked: string[] = [];
  let revoked = false;
  let push: () => void = () => {};
  const pushed = new Promise<void>((resolve) => {
    push = resolve;
  });
  const transport = createRouterTransport((router) =>
    router.service(AuthService, {
      authenticate({ credential, principal, clientIp }) {
        asked.push(`${credential || principal?.keyId}@${clientIp}`);
        expect(principal?.scopes ?? []).toEqual([]);
        if (revoked) throw toConnectError(new MeshError('CREDENTIAL_INVALID', 'Invalid API key'));
        const now = create(PrincipalSchema, { kind: 1, keyId: 'k', userId: 'ann', scopes: [Scope.GENERATE] });
        return create(AuthenticateResponseSchema, { principal: now, cacheFor: durationFromMs(60_000) });
      },
      async *watchRevocations(_request, { signal }) {
        yield create(WatchRevocationsResponseSchema);
        await pushed;
        const key = { case: 'keyId' as const, value: 'k' };
        yield create(WatchRevocationsResponseSchema, { revoked: key, cutRunningStreams: true });
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    }),
  );
  const auth = createClient(AuthService, transport);
  const principals = createPrincipals({ auth: () => auth, boundToLoopback: true, now: Date.now, log });
  return {
    principals,
    asked,
    revoke() {
      revoked = true;
      push();
    },
  };
}

test('whom a peer vouches for is asked about once, by who it is, and has the rights that auth tells', async () => {
  const { principals, asked } = fixture();
  const told = await principals.revalidate(ann, '198.51.100.7');
  expect(told).toMatchObject({ keyId: 'k', scopes: [Scope.GENERATE], models: [], tier: '' });
  // The same caller with other claims is the same question.
  expect(await principals.revalidate(create(PrincipalSchema, { ...ann, scopes: [] }), '198.51.100.7')).toBe(told);
  await principals.revalidate(ann, '203.0.113.1');
  await principals.revalidate(create(PrincipalSchema, { ...ann, keyId: 'other' }), undefined);
  await principals.authenticate('k', '198.51.100.7');
  expect(asked).toEqual(['k@198.51.100.7', 'k@203.0.113.1', 'other@', 'k@198.51.100.7']);
});

test('a revocation is heard: nobody vouches for the caller any more', async () => {
  const { principals, revoke } = fixture();
  const cut: Revocation[] = [];
  await principals.revalidate(ann, undefined);
  const close = principals.watch((revocation) => cut.push(revocation));
  revoke();
  await expect.poll(() => cut).toMatchObject([{ kind: 'key', id: 'k' }]);
  const refused = await principals.revalidate(ann, undefined).catch((error: unknown) => error);
  expect(fromConnectError(refused).reason).toBe('CREDENTIAL_INVALID');
  close();
});
