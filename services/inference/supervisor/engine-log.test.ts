import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEngineLog, type EngineLog, type StartLog } from './engine-log.ts';
import type { EngineLogLine } from './log-lines.ts';
import { spawnGuarded } from './spawn.ts';

let directory = '';
const logged: { msg: string; engine: string }[] = [];
const log = pino({}, { write: (line: string) => logged.push(JSON.parse(line)) });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  logged.length = 0;
});
afterEach(async () => {
  await Promise.all(logs.splice(0).map((engineLog) => engineLog.close()));
  rmSync(directory, { recursive: true });
});

const logs: EngineLog[] = [];
function logOf(name = 'chat'): EngineLog {
  const engineLog = createEngineLog({ name, directory: join(directory, 'engines'), now: () => 5, log });
  logs.push(engineLog);
  return engineLog;
}
const texts = (lines: readonly EngineLogLine[]): string[] => lines.map(({ text }) => text);

/** Runs a script whose output goes to a log, to its end. */
async function run(start: StartLog, script: string): Promise<void> {
  const child = spawnGuarded({
    program: 'sh',
    args: ['-c', script],
    environment: {},
    environmentVariable: (name) => process.env[name],
    onStdout: start.reader(false),
    onStderr: start.reader(true),
  });
  await child.outputEnded;
  await child.sweep();
  start.end();
}

test('the output of each start is in memory and on disk, secrets masked, with what the supervisor adds', async () => {
  const engineLog = logOf();
  const seen: string[] = [];
  const first = engineLog.forStart(['s3cr3t'], ({ text }) => seen.push(text));
  await run(first, 'echo key=s3cr3t; echo bad >&2; printf "last words" >&2');
  engineLog.add('started: process 123 with Bearer abc');
  const second = engineLog.forStart([]);
  await run(second, 'echo again');
  expect(texts(first.tail(10)).sort()).toEqual(['bad', 'key=[secret]', 'last words']);
  expect(first.tail(10).find(({ text }) => text === 'bad')).toEqual({ atMs: 5, fromStderr: true, text: 'bad' });
  expect(texts(second.tail(10))).toEqual(['again']);
  expect(texts(engineLog.tail(10))).toEqual([...seen, '[mesh] started: process 123 with [secret]', 'again']);
  await engineLog.close();
  const lines = readFileSync(join(directory, 'engines', 'chat.log'), 'utf8')
    .trimEnd()
    .split('\n');
  expect(lines.map((line) => line.slice(32))).toEqual(texts(engineLog.tail(10)));
  expect(lines.at(-1)).toBe('1970-01-01T00:00:00.005Z stdout again');
  expect(logged).toEqual([]);
});

test('characters that come in parts are whole, and bytes that are no characters harm nothing', async () => {
  const start = logOf().forStart([]);
  const parts = ['\\342\\202', '\\254 \\360\\237', '\\231\\202 \\377\\n', 'next\\n'];
  await run(start, parts.map((part) => `printf '${part}'; sleep 0.05`).join('; '));
  expect(texts(start.tail(10))).toEqual(['€ 🙂 \ufffd', 'next']);
});

test('a flood on stderr leaves memory and disk as they are, and its last words are kept', async () => {
  const engineLog = logOf();
  let leftOut = 0;
  const start = engineLog.forStart([], ({ text }) => {
    leftOut += Number(/^\[mesh\] (\d+) lines were left out/.exec(text)?.[1] ?? 0);
  });
  const before = process.memoryUsage().rss;
  await run(
    start,
    'yes "a line of a flood that means nothing at all" | head -c 300000000 >&2; echo >&2; echo CUDA out of memory >&2',
  );
  expect(texts(start.tail(1))).toEqual(['CUDA out of memory']);
  // Of 6 million lines; how many are taken depends on how long it lasts.
  expect(leftOut).toBeGreaterThan(2_000_000);
  // Half of what came: what is garbage already may still stand in it.
  expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  await engineLog.close();
  const written = readdirSync(join(directory, 'engines')).map(
    (name) => statSync(join(directory, 'engines', name)).size,
  );
  expect(Math.max(...written)).toBeLessThan(12 * 1024 * 1024);
  expect(written.length).toBeLessThanOrEqual(3);
}, 60_000);

test('followers get what comes, until they leave or the log is closed', async () => {
  const engineLog = logOf();
  const [one, other]: [string[], string[]] = [[], []];
  let isClosed = false;
  const leave = engineLog.follow(({ text }) => one.push(text));
  engineLog.follow(
    ({ text }) => other.push(text),
    () => {
      isClosed = true;
    },
  );
  engineLog.add('first');
  leave();
  engineLog.add('second');
  expect([one, other]).toEqual([['[mesh] first'], ['[mesh] first', '[mesh] second']]);
  await engineLog.close();
  expect(isClosed).toBe(true);
});

test('names that are no file names have files of their own', async () => {
  const names = ['chat', '../chat', '..', 'a/b', 'a_b', 'a:b', 'x'.repeat(300), `${'x'.repeat(300)}y`, '模型'];
  for (const name of names) {
    const engineLog = logOf(name);
    engineLog.add(name);
    await engineLog.close();
  }
  expect(readdirSync(directory)).toEqual(['engines']);
  expect(readdirSync(join(directory, 'engines'))).toHaveLength(names.length);
});

test('a disk that takes nothing is told, and the lines in memory go on', async () => {
  writeFileSync(join(directory, 'engines'), 'in the way');
  const engineLog = logOf();
  engineLog.add('first');
  await engineLog.close();
  expect(texts(engineLog.tail(1))).toEqual(['[mesh] first']);
  expect(logged).toMatchObject([{ engine: 'chat', msg: 'the log of an engine cannot be written' }]);
});
