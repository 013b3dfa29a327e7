import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hashKey } from '../../services/auth/api-key.ts';
import { createHashQueue } from '../../services/auth/hash-queue.ts';
import { createPasswords } from '../../services/auth/password.ts';

const program = resolve(import.meta.dirname, '../../bin/inference-mesh');

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function run(args: readonly string[], input: string, env: Record<string, string> = {}) {
  const { PATH = '', HOME = '' } = process.env;
  const result = spawnSync(program, args, { cwd: directory, input, env: { PATH, HOME, ...env }, encoding: 'utf8' });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

test('keys hash: what the mesh of this data directory knows the key by', () => {
  const { code, out, err } = run(['keys', 'hash'], 'sk-ThatIsLongEnough1234567890abc\n');
  expect([code, err]).toEqual([0, '']);
  const pepper = readFileSync(join(directory, '.mesh/pepper'), 'utf8').trim();
  expect(out).toBe(`${hashKey('sk-ThatIsLongEnough1234567890abc', Buffer.from(pepper)).toString('hex')}\n`);
  expect(run(['keys', 'hash'], 'sk-ThatIsLongEnough1234567890abc').out).toBe(out);
  expect(run(['keys', 'hash', '--data-dir', 'other'], 'sk-ThatIsLongEnough1234567890abc').out).not.toBe(out);
});

test('keys hash: with the pepper that several processes share', () => {
  const file = join(directory, 'shared-pepper');
  writeFileSync(file, 'p'.repeat(40));
  const env = { REDIS_URL: 'redis://127.0.0.1:1', MESH_PEPPER_FILE: file };
  const { out } = run(['keys', 'hash'], 'dev-key', env);
  expect(out).toBe(`${hashKey('dev-key', Buffer.from('p'.repeat(40))).toString('hex')}\n`);
  const without = run(['keys', 'hash'], 'dev-key', { REDIS_URL: 'redis://127.0.0.1:1' });
  expect([without.code, without.err]).toEqual([78, expect.stringContaining('MESH_PEPPER_FILE')]);
});

test('keys hash: a weak key is hashed, with a warning', () => {
  expect(run(['keys', 'hash'], 'dev-key').err).toContain('128 bits');
});

test('users hash: argon2id of the password', async () => {
  const { code, out } = run(['users', 'hash'], 'correct horse battery\n');
  expect(code).toBe(0);
  const passwords = createPasswords(createHashQueue({ running: 1, waiting: 1 }));
  expect(out.trim()).toMatch(/^\$argon2id\$/);
  expect(await passwords.verify('correct horse battery', out.trim())).toBe(true);
});

test.each<[string, string[], string, RegExp]>([
  ['no key', ['keys', 'hash'], '', /the key: expected one line/],
  ['two lines', ['keys', 'hash'], 'one\ntwo\n', /the key: expected one line/],
  ['a short password', ['users', 'hash'], 'short\n', /12 characters/],
  ['one character', ['users', 'hash'], 'x'.repeat(20), /too weak/],
  ['a secret as an argument', ['keys', 'hash', 'sk-seen'], '', /does not belong on the command line/],
  ['a secret as an option', ['keys', 'hash', '--sk-seen'], '', /unknown option/],
])('%s ends with 78 and repeats nothing', (_name, args, input, message) => {
  const { code, out, err } = run(args, input);
  expect([code, out, err]).toEqual([78, '', expect.stringMatching(message)]);
  expect(err).not.toMatch(/sk-seen|xxxx|two/);
});

test('without a command it says what there is', () => {
  expect(run([], '').out).toContain('keys hash');
});

test('backup: the store and what it needs, into a new directory and over nothing', () => {
  run(['keys', 'hash', '--data-dir', 'kept'], 'sk-ThatIsLongEnough1234567890abc');
  expect(run(['backup', 'copy', '--data-dir', 'kept'], '')).toMatchObject({
    code: 78,
    err: expect.stringMatching(/there is no store/),
  });
  new DatabaseSync(join(directory, 'kept/mesh.db')).close();
  const { code, out } = run(['--json', 'backup', 'copy', '--data-dir', 'kept'], '');
  expect([code, JSON.parse(out || 'null')]).toEqual([
    0,
    { directory: join(directory, 'copy'), files: ['mesh.db', 'pepper'] },
  ]);
  expect(run(['backup', 'copy', '--data-dir', 'kept'], '')).toMatchObject({
    code: 78,
    err: expect.stringMatching(/is not empty/),
  });
});
