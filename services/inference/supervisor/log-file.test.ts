import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogFile } from './log-file.ts';

let directory = '';
const problems: Error[] = [];
const onProblem = (error: Error): number => problems.push(error);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  problems.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true }));

const path = (): string => join(directory, 'engines', 'chat.log');
const read = (suffix = ''): string => readFileSync(`${path()}${suffix}`, 'utf8');

test('text is added to what is there, in private', async () => {
  for (const text of ['one\n', 'two\n']) {
    const file = createLogFile(path(), { onProblem });
    file.write(text);
    file.write(text.toUpperCase());
    await file.close();
  }
  expect(read()).toBe('one\nONE\ntwo\nTWO\n');
  expect(statSync(path()).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'engines')).mode & 0o777).toBe(0o700);
  expect(problems).toEqual([]);
});

test('nothing is made before the first write', async () => {
  await createLogFile(path(), { onProblem }).close();
  expect(readdirSync(directory)).toEqual([]);
});

test('a full file is put aside, and three are kept', async () => {
  const file = createLogFile(path(), { onProblem, limitBytes: 100 });
  for (let number = 0; number < 8; number++) {
    file.write(`${number}`.repeat(99).concat('\n'));
    // One write each, else they would go together.
    await file.close();
  }
  file.write('last\n');
  await file.close();
  expect(readdirSync(join(directory, 'engines')).sort()).toEqual(['chat.log', 'chat.log.1', 'chat.log.2']);
  expect([read(), read('.1').slice(0, 2), read('.2').slice(0, 2)]).toEqual(['last\n', '77', '66']);
});

test('the size of what was there counts', async () => {
  mkdirSync(join(directory, 'engines'));
  writeFileSync(path(), 'x'.repeat(95));
  const file = createLogFile(path(), { onProblem, limitBytes: 100 });
  file.write('12345');
  await file.close();
  file.write('next\n');
  await file.close();
  expect([read(), read('.1')]).toEqual(['next\n', `${'x'.repeat(95)}12345`]);
});

test('what a slow disk cannot take is left out and counted', async () => {
  const file = createLogFile(path(), { onProblem });
  const line = `${'x'.repeat(1_023)}\n`;
  // Without a pause between them nothing can be written.
  for (let index = 0; index < 5_000; index++) file.write(line);
  await file.close();
  expect(statSync(path()).size).toBeLessThanOrEqual(2 * 1024 * 1024);
  expect(read()).toMatch(/\[mesh\] \d{7} characters were left out/);
});

test('a file that cannot be written is told once, and tried again', async () => {
  writeFileSync(join(directory, 'engines'), 'in the way');
  const file = createLogFile(path(), { onProblem });
  for (const text of ['one\n', 'two\n']) {
    file.write(text);
    await file.close();
  }
  expect(problems).toHaveLength(1);
  rmSync(join(directory, 'engines'));
  file.write('three\n');
  await file.close();
  expect(read()).toMatch(/^three\n\[mesh\] \d+ characters/);
});
