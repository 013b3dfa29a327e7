import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createRunDirectory } from './run-directory.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
afterAll(() => rmSync(dataDir, { recursive: true }));

test('is private, below the data directory, and free of what the dead have left', async () => {
  // Process ids end at 4,194,304.
  const dead = join(dataDir, 'run', '4999999');
  mkdirSync(dead, { recursive: true });
  writeFileSync(join(dead, 'old.sock'), '');
  const directory = createRunDirectory(dataDir);
  expect(directory.path.startsWith(dataDir)).toBe(true);
  expect(statSync(directory.path).mode & 0o777).toBe(0o700);
  expect(existsSync(dead)).toBe(false);
  await directory.remove();
  expect(existsSync(directory.path)).toBe(false);
});

test.runIf(process.platform === 'linux')('what an earlier process with our number has left is not ours', async () => {
  const earlier = join(dataDir, 'run', `${process.pid}-1`);
  mkdirSync(earlier, { recursive: true });
  const [one, other] = [createRunDirectory(dataDir), createRunDirectory(dataDir)];
  expect(existsSync(earlier)).toBe(false);
  expect(existsSync(one.path)).toBe(true);
  await one.remove();
  await other.remove();
});

test('is elsewhere when the data directory is too deep for a socket', async () => {
  const directory = createRunDirectory(join(dataDir, 'deep'.repeat(30)));
  expect(Buffer.byteLength(join(directory.path, '12345678.sock'))).toBeLessThanOrEqual(107);
  expect(statSync(directory.path).mode & 0o777).toBe(0o700);
  await directory.remove();
});
