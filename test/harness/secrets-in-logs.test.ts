import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lookForSecrets, takeSightings } from './secrets-in-logs.ts';

const TOKEN = 'a-token-of-the-mesh-0123456789';
const SECRET = 'B'.repeat(49);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'secrets-'));
  mkdirSync(join(directory, 'all/logs/engines'), { recursive: true });
  mkdirSync(join(directory, 'logs'));
  writeFileSync(join(directory, 'all/admin.key'), `im_0123456789ab_${SECRET}\n`);
  writeFileSync(join(directory, 'all/pepper'), 'pepper-0123456789abcdef');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const kinds = (): string[] => [...new Set(takeSightings().map(({ kind }) => kind))].sort();

test('nothing is found where nothing is', () => {
  writeFileSync(join(directory, 'logs/app_2026-01-01.log'), '{"keyId":"0123456789ab"}\n');
  lookForSecrets('{"level":"info","keyId":"0123456789ab"}', { MESH_TOKEN: TOKEN, API_KEYS: 'short' }, directory);
  expect(kinds()).toEqual([]);
});

test('secrets of files and variables are found in outputs and in log files, those of engines too', () => {
  writeFileSync(join(directory, 'logs/requests_2026-01-01.log'), `x${SECRET}x`);
  writeFileSync(join(directory, 'all/logs/engines/a.log'), Buffer.from('pepper-0123456789abcdef').toString('hex'));
  lookForSecrets(`told ${TOKEN}`, { MESH_TOKEN: TOKEN, REDIS_URL: 'redis://:a-long-password-1@h:1' }, directory);
  expect(kinds()).toEqual(['MESH_TOKEN', 'admin.key', 'pepper']);
  lookForSecrets('a-long-password-1', { REDIS_URL: 'redis://:a-long-password-1@h:1' }, undefined);
  expect(kinds()).toEqual(['REDIS_URL']);
});

test.each([
  ['an API key', `key im_abcdefghijkl_${SECRET}`],
  ['a token of a user', `eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4ifQ.${'s'.repeat(40)}`],
  ['a header with a credential', 'authorization: Bearer abcdefghijklmnopqrst'],
  ['the hash of a password', '$argon2id$v=19$m=19456,t=2,p=1$abc'],
  ['a private key', '-----BEGIN EC PRIVATE KEY-----'],
])('%s is known by its shape', (kind, text) => {
  lookForSecrets(text, {}, undefined);
  expect(kinds()).toContain(kind);
});
