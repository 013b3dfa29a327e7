import { expect, test } from 'vitest';
import { type EngineLogLine, LogLines } from './log-lines.ts';

function lines(secrets: readonly string[] = []): { log: LogLines; seen: EngineLogLine[] } {
  const seen: EngineLogLine[] = [];
  return {
    log: new LogLines(
      secrets,
      () => 5,
      (line) => seen.push(line),
    ),
    seen,
  };
}

test('pieces are cut into lines, both streams apart', () => {
  const { log, seen } = lines();
  const [out, err] = [log.reader(false), log.reader(true)];
  out('one\ntw');
  err('bad\r\n');
  out('o\n\n');
  expect(seen).toEqual([
    { atMs: 5, fromStderr: false, text: 'one' },
    { atMs: 5, fromStderr: true, text: 'bad' },
    { atMs: 5, fromStderr: false, text: 'two' },
  ]);
});

test('secrets are masked, also when they come in two pieces', () => {
  const { log, seen } = lines(['s3cr3t']);
  const out = log.reader(false);
  out('key=s3c');
  out('r3t HF=hf_abcdefghijk Authorization: Bearer xyz\n');
  expect(seen[0]?.text).toBe('key=[secret] HF=[secret] Authorization: [secret]');
});

test('a flood keeps the last lines only, and long lines are cut', () => {
  const { log } = lines();
  const out = log.reader(false);
  for (let index = 0; index < 5_000; index++) out(`line ${index}\n`);
  expect(log.tail(2).map((line) => line.text)).toEqual(['line 4998', 'line 4999']);
  expect(log.tail(10_000).length).toBeLessThanOrEqual(1_000);
  for (let index = 0; index < 100; index++) out('x'.repeat(1_000));
  out('\n');
  expect(log.tail(1)[0]?.text.length).toBeLessThanOrEqual(4_096);
});
