import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readPeppers } from './peppers.ts';

function files() {
  const directory = mkdtempSync(join(tmpdir(), 'peppers-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const pathOf = (name: string): string => {
    writeFileSync(join(directory, name), `${name.repeat(32)}\n`);
    return join(directory, name);
  };
  return { server: { data_dir: directory }, pathOf };
}

test('the present pepper, and those before it', () => {
  const { server, pathOf } = files();
  const { pepper, olderPeppers } = readPeppers({
    ...{ server, pepperFile: pathOf('a'), olderPepperFiles: [pathOf('b'), pathOf('c')] },
  });
  expect([pepper, ...olderPeppers].map(String)).toEqual(['a', 'b', 'c'].map((name) => name.repeat(32)));
});

test('the present one is made where nobody names it, an older one is not', () => {
  const { server } = files();
  expect(readPeppers({ server, pepperFile: undefined, olderPepperFiles: [] }).pepper.byteLength).toBeGreaterThan(31);
  expect(existsSync(join(server.data_dir, 'pepper'))).toBe(true);
  const missing = join(server.data_dir, 'missing');
  expect(() => readPeppers({ server, pepperFile: undefined, olderPepperFiles: [missing] })).toThrow(/missing: cannot/);
});

test('one that is named twice is refused: the wrong file was replaced', () => {
  const { server, pathOf } = files();
  const present = pathOf('a');
  expect(() => readPeppers({ server, pepperFile: present, olderPepperFiles: [present] })).toThrow(
    /^MESH_OLDER_PEPPER_FILES: .*a holds the present pepper/,
  );
});
