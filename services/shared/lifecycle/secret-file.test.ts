import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readSecret } from './secret-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'mesh-secret-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('is made once, readable by its owner only', () => {
  const path = join(directory, 'pepper');
  const first = readSecret(path, { create: true });
  expect(readSecret(path, { create: true })).toBe(first);
  expect(Buffer.from(first, 'base64url')).toHaveLength(32);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a missing or short secret is refused', () => {
  expect(() => readSecret(join(directory, 'none'), { create: false })).toThrow(/cannot be read/);
  writeFileSync(join(directory, 'short'), 'abc');
  expect(() => readSecret(join(directory, 'short'), { create: true })).toThrow(/at least 32 bytes/);
});
