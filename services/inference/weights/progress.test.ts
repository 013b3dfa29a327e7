import { pino } from 'pino';
import { expect, test } from 'vitest';
import { ByteProgress, perPercent } from './progress.ts';

function record(isTTY: boolean, totalBytes = 500_000_000) {
  const shown: string[] = [];
  const logged: Record<string, unknown>[] = [];
  let atMs = 1_000_000;
  const progress = new ByteProgress('downloading a.gguf', totalBytes, {
    terminal: { isTTY, columns: 100, write: (text: string) => shown.push(text) > 0 } as never,
    log: pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) }),
    now: () => atMs,
  });
  const at = (bytes: number, afterMs: number): void => {
    atMs += afterMs;
    progress.update(bytes);
  };
  return { progress, shown, logged, at };
}

test('on a terminal one line is rewritten with bar, percent, amounts, speed and rest', () => {
  const { progress, shown, logged, at } = record(true);
  at(100_000_000, 0);
  at(101_000_000, 10);
  at(150_000_000, 990);
  expect(shown).toHaveLength(2);
  expect(shown[1]).toBe('\r[#######.................] 30 %  150/500 MB  50 MB/s  0:07 left  downloading a.gguf\x1b[K');
  progress.interrupt();
  progress.interrupt();
  expect(shown.slice(2)).toEqual(['\n']);
  expect(logged).toEqual([]);
});

test('a narrow terminal gets a shorter line, and a download that begins anew has no negative speed', () => {
  const { shown, at } = record(true, 20_000_000_000_000);
  at(1_000_000_000, 0);
  at(10, 1_000);
  at(1_000_010, 1_000);
  expect(shown.every((line) => line.length < 100 + '\r\x1b[K'.length)).toBe(true);
  expect(shown.at(-1)).toMatch(/1\.0 MB\/s {2}\d+:\d\d:\d\d left/);
  expect(shown.join('')).not.toMatch(/-\d/);
});

test('elsewhere there is a log line for each ten percent, counted from where it goes on', () => {
  const { shown, logged, at } = record(false);
  for (let percent = 25; percent <= 100; percent += 1) at(percent * 5_000_000, 10);
  expect(logged.map(({ percent }) => percent)).toEqual([30, 40, 50, 60, 70, 80, 90, 100]);
  expect(logged[0]?.msg).toBe('downloading a.gguf');
  expect(shown).toEqual([]);
});

test('a listener is told once per percent and stage, and when it begins anew', () => {
  const told: unknown[] = [];
  const tell = perPercent((stage, percent) => told.push([stage, percent]), 1_000);
  for (const bytes of [0, 5, 9, 10, 19, 500, 3, 1_000]) tell('downloading', bytes);
  tell('verifying', 1_000);
  expect(told).toEqual([...[0, 1, 50, 0, 100].map((percent) => ['downloading', percent]), ['verifying', 100]]);
});
