import { globSync } from 'node:fs';
import { join } from 'node:path';
import type { DescService } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { methodName } from '../shared/interceptors/access.ts';
import { authorizationTable } from './authorization-table.ts';

const root = join(import.meta.dirname, '../..');

/** Every service that stands in gen/, also one that nobody has thought of here. */
async function services(): Promise<DescService[]> {
  const modules = await Promise.all(
    globSync('gen/{mesh,grpc}/**/*_pb.ts', { cwd: root }).map((path) => import(join(root, path))),
  );
  return modules
    .flatMap((module) => Object.values(module as Record<string, unknown>))
    .filter((value): value is DescService => (value as { kind?: string } | undefined)?.kind === 'service');
}

test('every method of every service has an entry, and no entry is left over', async () => {
  const methods = (await services()).flatMap((service) => service.methods.map(methodName));
  expect(methods.length).toBeGreaterThan(45);
  expect([...authorizationTable.keys()].sort()).toEqual(methods.sort());
});

test.each([
  ['auth.v1.AuthService', ['Authenticate', 'WatchRevocations']],
  ['quota.v1.QuotaService', ['Reserve', 'Extend', 'Settle', 'Release']],
  ['router.v1.RegistryService', ['Register']],
  ['router.v1.RouterService', ['Attach']],
  ['inference.v1.InferenceService', ['Generate', 'Attach', 'Embed', 'Tokenize']],
])('of mesh.%s exactly %j are for peers', (service, expected) => {
  const peerOnly = [...authorizationTable]
    .filter(([name, access]) => name.startsWith(`mesh.${service}/`) && access.kind === 'peer')
    .map(([name]) => name.split('/')[1]);
  expect(peerOnly.sort()).toEqual(expected.sort());
});

test('what a certificate lets a process do for itself', () => {
  const rights = new Map<string, string[]>();
  for (const [name, { peers = [] }] of authorizationTable) {
    const method = name.replace(/^mesh\.\w+\.v1\./, '');
    for (const role of peers) rights.set(role, [...(rights.get(role) ?? []), method]);
  }
  // Whoever has a port verifies its callers there.
  const verifies = ['AuthService/Authenticate', 'AuthService/WatchRevocations'];
  expect(Object.fromEntries(rights)).toEqual({
    auth: verifies,
    quota: verifies,
    tasks: [
      ...verifies,
      ...['Reserve', 'Settle', 'Release'].map((method) => `QuotaService/${method}`),
      ...['Attach', 'ListModels'].map((method) => `RouterService/${method}`),
    ],
    inference: [...verifies, 'RegistryService/Register'],
    facade: expect.arrayContaining([
      ...verifies,
      'AuthService/GetJwks',
      'RouterService/Attach',
      'RouterService/ListModels',
      'RegistryService/ListNodes',
    ]),
    router: [
      ...verifies,
      ...['Reserve', 'Extend', 'Settle', 'Release'].map((method) => `QuotaService/${method}`),
      ...['Generate', 'Attach', 'Embed', 'Tokenize'].map((method) => `InferenceService/${method}`),
    ],
  });
  expect(rights.get('facade')).toHaveLength(6);
});

test('only login, token renewal, registration, public keys, health and reflection are open', () => {
  const open = [...authorizationTable].filter(([, { kind }]) => kind === 'open').map(([name]) => name);
  expect(open.filter((name) => !name.startsWith('grpc.'))).toEqual([
    'mesh.auth.v1.AuthService/Login',
    'mesh.auth.v1.AuthService/RefreshToken',
    'mesh.auth.v1.AuthService/GenerateApiKey',
    'mesh.auth.v1.AuthService/GetJwks',
  ]);
});

test('what changes the mesh needs more than the scope that every key has', () => {
  const changing =
    /\/(Drain|LoadModel|UnloadModel|SetLimits|CreateUser|DisableUser|EnableUser|RotateSigningKey|CreateApiKey|RevokeApiKey|TailLogs)$/;
  for (const [name, access] of authorizationTable) {
    if (changing.test(name)) expect(access).not.toMatchObject({ scope: Scope.GENERATE });
  }
});
