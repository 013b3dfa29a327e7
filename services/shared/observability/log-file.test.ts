import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { LogFile, type LogFileOptions } from './log-file.ts';
import { linkTo, logFileName, newestIndex, removeOldFiles } from './log-names.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'log-file-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const today = (): string => logFileName('app', new Date(), 1);
const read = (name: string): string => readFileSync(join(directory, name), 'utf8');
const filesOf = (kind: string): string[] => readdirSync(directory).filter((name) => name.startsWith(`${kind}_`));

function open(more: Partial<LogFileOptions> = {}): { file: LogFile; broken: string[]; mended: number[] } {
  const broken: string[] = [];
  const mended: number[] = [];
  const file = new LogFile({
    ...{ directory, kind: 'app', mostBytes: 1_000_000, keepFiles: 5 },
    onBroken: ({ message }) => broken.push(message),
    onMended: (lost) => mended.push(lost),
    ...more,
  });
  return { file, broken, mended };
}

test('lines stand in the file of the day, and the link leads to it', async () => {
  const { file, broken } = open();
  file.write('one\n');
  file.write('two\n');
  await file.close();
  expect(read(today())).toBe('one\ntwo\n');
  expect(read('app.log')).toBe('one\ntwo\n');
  expect(readlinkSync(join(directory, 'app.log'))).toBe(today());
  expect(broken).toEqual([]);
});

test('a later start goes on in the same file; links of other kinds have the names of other systems', async () => {
  for (const line of ['first\n', 'second\n']) {
    const { file } = open({ kind: 'requests' });
    file.write(line);
    await file.close();
  }
  expect(read('llm_requests.log')).toBe('first\nsecond\n');
});

test('a directory that is not there is made', async () => {
  const { file } = open({ directory: join(directory, 'a/b') });
  file.write('here\n');
  await file.close();
  expect(read('a/b/app.log')).toBe('here\n');
});

test('a full file is followed by the next one of the day, and the oldest are removed', async () => {
  mkdirSync(join(directory, 'app_2020-01-01.log'));
  writeFileSync(join(directory, 'app_notes.log'), 'not ours');
  const { file } = open({ mostBytes: 1_000, keepFiles: 3 });
  for (let count = 0; count < 8; count += 1) {
    file.write(`${String(count).repeat(1_100)}\n`);
    file.flush();
  }
  await file.close();
  const day = new Date();
  const kept = filesOf('app').filter((name) => !['app_2020-01-01.log', 'app_notes.log'].includes(name));
  expect(kept).toHaveLength(3);
  expect(kept).toContain(readlinkSync(join(directory, 'app.log')));
  for (const name of kept) expect(name).toMatch(/^app_\d{4}-\d\d-\d\d(\.\d+)?\.log$/);
  expect(kept).not.toContain(logFileName('app', day, 1));
  expect(read('app_notes.log')).toBe('not ours');
});

test('the file and its link change with the day', async () => {
  onTestFinished(() => void vi.useRealTimers());
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-21T23:59:59.500Z') });
  const { file } = open();
  file.write('old\n');
  file.flush();
  await expect.poll(() => existsSync(join(directory, 'app.log')) && read('app.log')).toBe('old\n');
  // The library has a timer for the time that is left of the day, and asks again when it is over.
  vi.setSystemTime(new Date('2026-11-22T00:00:00.100Z'));
  await expect.poll(() => readlinkSync(join(directory, 'app.log'))).toBe('app_2026-11-22.log');
  file.write('new\n');
  await file.close();
  expect([read('app_2026-11-21.log'), read('app.log')]).toEqual(['old\n', 'new\n']);
});

test('names of files', () => {
  expect(logFileName('errors', new Date('2026-11-21T23:59:59.999Z'), 1)).toBe('errors_2026-11-21.log');
  expect(logFileName('errors', new Date('2026-11-22T00:00:00.000Z'), 3)).toBe('errors_2026-11-22.3.log');
});

test('the newest file of a day is known by its number', () => {
  const day = new Date('2026-01-02T10:00:00Z');
  expect(newestIndex(join(directory, 'none'), 'app', day)).toBe(1);
  for (const name of [
    'app_2026-01-02.12.log',
    'app_2026-01-02.3.log',
    'app_2026-01-01.99.log',
    'app_2026-01-02.50.txt',
  ]) {
    writeFileSync(join(directory, name), '');
  }
  expect(newestIndex(directory, 'app', day)).toBe(12);
});

test('the oldest of a kind go, others stay', async () => {
  const names = [
    'app_2026-01-01.log',
    'app_2026-01-01.2.log',
    'app_2026-01-02.log',
    'errors_2026-01-01.log',
    'app.log',
  ];
  for (const [index, name] of names.entries()) {
    writeFileSync(join(directory, name), '');
    utimesSync(join(directory, name), 1_000 + index, 1_000 + index);
  }
  await removeOldFiles(directory, 'app', 1);
  expect(readdirSync(directory).sort()).toEqual(['app.log', 'app_2026-01-02.log', 'errors_2026-01-01.log']);
});

test('a link is replaced; a file of its name is not', async () => {
  symlinkSync('gone.log', join(directory, 'app.log'));
  writeFileSync(join(directory, 'errors.log'), 'precious');
  await linkTo(directory, 'app', 'new.log');
  await linkTo(directory, 'errors', 'new.log');
  expect(readlinkSync(join(directory, 'app.log'))).toBe('new.log');
  expect(read('errors.log')).toBe('precious');
  expect(readdirSync(directory).sort()).toEqual(['app.log', 'errors.log']);
});

test('what was collected is written at once where the process ends', async () => {
  const { file } = open();
  file.write('opens\n');
  file.flush();
  await expect.poll(() => existsSync(join(directory, today())) && read(today())).toBe('opens\n');
  file.write('last words\n');
  file.flushSync();
  expect(read(today())).toBe('opens\nlast words\n');
  await file.close();
});

test('a disk that takes nothing is told of once, costs no memory, and is used again', async () => {
  const path = join(directory, 'logs');
  writeFileSync(path, 'a file where the directory should be');
  const { file, broken, mended } = open({ directory: path, retryMs: 0 });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      file.write('lost\n');
      file.flush();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  await until(() => broken.length > 0);
  for (let count = 0; count < 20; count += 1) {
    file.write('lost\n');
    file.flush();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(broken).toHaveLength(1);
  rmSync(path);
  await until(() => mended.length > 0);
  await file.close();
  expect(mended[0]).toBeGreaterThanOrEqual(20);
  expect(readFileSync(join(path, 'app.log'), 'utf8')).toContain('lost\n');
});

/** A process of its own that runs `body` with a LogFile `file` that is small, after `before` in a shell. */
async function inProcess(body: string, mostBytes: number, before = ''): Promise<string> {
  const script = `
    import { LogFile } from ${JSON.stringify(join(import.meta.dirname, 'log-file.ts'))};
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const file = new LogFile({ directory: ${JSON.stringify(directory)}, kind: 'app', mostBytes: ${mostBytes}, keepFiles: 500,
      retryMs: 0, onBroken: (error) => console.log(error.code), onMended: () => console.log('mended') });
    ${body}`;
  const child = spawn('sh', ['-c', `${before} exec "$0" "$@"`, process.execPath, '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = (await once(child, 'close')) as [number];
  return `${output}${code}`;
}

test('what was collected before a crash is written, after what came before it', async () => {
  const body = `process.on('exit', () => file.flushSync());
    file.write('first\\n'); file.flush();
    while (!(await import('node:fs')).existsSync(${JSON.stringify(join(directory, 'app.log'))})) await pause(5);
    file.write('last words\\n');
    process.exit(3);`;
  expect(await inProcess(body, 1_000_000)).toBe('3');
  expect(read('app.log')).toBe('first\nlast words\n');
});

test('a file that may not grow (EFBIG, as ENOSPC in the middle of a line) is told of once and ends nothing', async () => {
  const body = `for (let index = 0; index < 200; index += 1) { file.write('x'.repeat(500) + '\\n'); file.flush(); await pause(1); }
    await file.close(); console.log('went on');`;
  expect(await inProcess(body, 1_000_000, 'ulimit -f 16;')).toBe('EFBIG\nwent on\n0');
  expect(read('app.log').length).toBeGreaterThan(5_000);
});

/** Many lines by a process of its own into the same directory. */
async function writeElsewhere(name: string, count: number): Promise<void> {
  const body = `for (let index = 0; index < ${count}; index += 1) {
      file.write(JSON.stringify({ name: '${name}', index, filler: 'x'.repeat(200) }) + '\\n');
      if (index % 10 === 0) { file.flush(); await pause(1); }
    }
    await file.close();`;
  expect(await inProcess(body, 20_000)).toBe('0');
}

test('processes that share a directory lose no line of each other, also while files change', async () => {
  const names = ['a', 'b', 'c'];
  await Promise.all(names.map((name) => writeElsewhere(name, 300)));
  const files = filesOf('app');
  expect(files.length).toBeGreaterThan(3);
  // One that was begun last may have none.
  const lines = files.flatMap((name) => read(name).split('\n').filter(Boolean)).map((line) => JSON.parse(line));
  for (const name of names) {
    const own = lines.filter((line) => line.name === name).map((line) => line.index as number);
    expect(own.sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, index) => index));
  }
});
