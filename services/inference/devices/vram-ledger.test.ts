import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openVramLedger, type VramLedger } from './vram-ledger.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'mesh-ledger-'));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

const open = (): VramLedger => openVramLedger({ dataDir, now: () => 0, log: pino({ level: 'silent' }) });
const run = (flags: unknown, model = 'some/model') => ({ engine: 'vllm', model, flags });

test('what was measured is known after a restart, for the same engine, model and flags alone', () => {
  open().record(run({ max_model_len: 8_192, extra_args: ['--x', '--y'] }), 5_000);
  const ledger = open();
  expect(ledger.measuredBytes(run({ extra_args: ['--x', '--y'], max_model_len: 8_192, dtype: undefined }))).toBe(5_000);
  expect(ledger.measuredBytes(run({ extra_args: ['--y', '--x'], max_model_len: 8_192 }))).toBeUndefined();
  expect(ledger.measuredBytes(run({ extra_args: ['--x', '--y'], max_model_len: 4_096 }))).toBeUndefined();
  expect(ledger.measuredBytes({ ...run({}), engine: 'tgi' })).toBeUndefined();
});

test('within one life the most counts, and a new life counts afresh', () => {
  const ledger = open();
  const chat = run({});
  for (const bytes of [5_000, 9_000, 7_000, 0]) ledger.record(chat, bytes);
  expect(ledger.measuredBytes(chat)).toBe(9_000);
  ledger.begin(chat);
  expect(ledger.measuredBytes(chat)).toBe(9_000);
  for (const bytes of [6_000, 5_000]) ledger.record(chat, bytes);
  expect(ledger.measuredBytes(chat)).toBe(6_000);
});

test('noise is not written', () => {
  const ledger = open();
  ledger.record(run({}), 10_000);
  const before = statSync(join(dataDir, 'vram-ledger.json')).ino;
  ledger.record(run({}), 10_050);
  expect(statSync(join(dataDir, 'vram-ledger.json')).ino).toBe(before);
  expect(ledger.measuredBytes(run({}))).toBe(10_000);
});

test('of too many runs the oldest is forgotten', () => {
  const ledger = open();
  for (let index = 0; index <= 1_000; index++) ledger.record(run({}, `model-${index}`), 1);
  expect(ledger.measuredBytes(run({}, 'model-0'))).toBeUndefined();
  expect(ledger.measuredBytes(run({}, 'model-1'))).toBe(1);
});

test.each(['{"version":1,"runs":{"x":', '{"version":2,"runs":{}}', '[]'])('a broken file is put aside: %s', (text) => {
  writeFileSync(join(dataDir, 'vram-ledger.json'), text);
  const ledger = open();
  expect(ledger.measuredBytes(run({}))).toBeUndefined();
  ledger.record(run({}), 7);
  expect(open().measuredBytes(run({}))).toBe(7);
  expect(readFileSync(join(dataDir, 'vram-ledger.json.broken'), 'utf8')).toBe(text);
  expect(readdirSync(dataDir).sort()).toEqual(['vram-ledger.json', 'vram-ledger.json.broken']);
});
