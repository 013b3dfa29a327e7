import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { createAuthority } from '../../../test/harness/certificates.ts';
import { identityName, rolesNamed } from './mesh-identity.ts';

const authority = createAuthority();

function named(names: string[], commonName = 'x') {
  const certificate = new X509Certificate(authority.issue({ names, commonName }).cert);
  return [...rolesNamed(certificate, 'mesh.example.com')];
}

test('a certificate is for the roles that it names in full', () => {
  expect(identityName('auth', 'mesh.example.com')).toBe('auth.mesh.example.com');
  expect(named(['auth.mesh.example.com'])).toEqual(['auth']);
  expect(named(['Quota.MESH.example.com', 'auth.mesh.example.com', 'db.mesh.example.com'])).toEqual(['auth', 'quota']);
});

test.each([
  '*.mesh.example.com',
  'r*.mesh.example.com',
  'mesh.example.com',
  '.mesh.example.com',
  'auth',
  'auth.mesh',
  'auth.mesh.example.com.',
  'auth.mesh.example.com.evil.test',
  'auth.mesh.example.com\0.evil.test',
  'evil.test\0auth.mesh.example.com',
  'auth\u3002mesh\u3002example\u3002com',
  'auth.mesh.example.com auth.mesh.example.com',
  'evil.test, DNS:auth.mesh.example.com',
  '',
])('%j is for none', (name) => {
  expect(named([name], 'auth.mesh.example.com')).toEqual([]);
});

test('without a name it is for none, whatever its common name is', () => {
  expect(named([], 'auth.mesh.example.com')).toEqual([]);
});
