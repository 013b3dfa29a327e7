import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inferenceConfigSchema } from './config.ts';
import { createNodeEngines, type NodeEngines } from './node-engines.ts';
import { newMark, startTimeOf } from './supervisor/process-table.ts';

const FAKES = join(import.meta.dirname, '../../test/engines/bin');

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
});
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  rmSync(dataDir, { recursive: true });
});

function nodeWith(models: readonly object[]): NodeEngines {
  const path = [FAKES, process.env.PATH].join(delimiter);
  const node = createNodeEngines(
    inferenceConfigSchema.parse({ node: 'here', devices: 'none', models }),
    {
      routers: [],
      dataDir,
      nodePath: process.execPath,
      environmentVariable: (name) => (name === 'PATH' ? path : process.env[name]),
      log: pino({ level: 'silent' }),
      now: Date.now,
    },
    { onChange() {}, onIdle() {} },
  );
  closers.push(async () => {
    await node.stop(0);
    await node.close();
  });
  return node;
}

test('a model that is sent to sleep, or away, takes nothing from that moment on', async () => {
  const entry = { engine: 'vllm', model: 'some/model', devices: [], load: 'on_demand' };
  const node = nodeWith([
    { ...entry, name: 'sleeps', sleep_mode: true },
    { ...entry, name: 'goes' },
  ]);
  await node.start();
  for (const slot of node.slots.values()) {
    await expect.poll(() => slot.phase).toBe('absent');
    slot.load();
    await expect.poll(() => slot.connection, { timeout: 60_000 }).toBeDefined();
    slot.makeRoom();
    expect([slot.connection, slot.phase]).toEqual([undefined, 'leaving']);
    await expect.poll(() => slot.phase, { timeout: 60_000 }).toBe(slot.name === 'sleeps' ? 'asleep' : 'absent');
  }
}, 120_000);

test.runIf(process.platform === 'linux')('ports that a mesh which was killed gave to engines rest', async () => {
  const bootId = startTimeOf(process.pid)?.split(':')[0];
  const owner = join(dataDir, 'engines', `4999999-${bootId}_1`);
  const mark = newMark();
  // All that there are, so that one that does not rest is found.
  const ports = Array.from({ length: 9_000 }, (_, index) => 20_000 + index);
  mkdirSync(owner, { recursive: true });
  const lease = { engine: 'old', mark, processId: 4_999_999, startTime: '', ports, devices: [], memory: {} };
  writeFileSync(join(owner, `${mark}.json`), JSON.stringify(lease));
  const models = [{ name: 'chat', engine: 'transformers', model: 'Qwen/Qwen3-8B', program: '/bin/false' }];
  const node = nodeWith(models);
  await node.start();
  const failure = () => node.slots.get('chat')?.engine.failure;
  await expect.poll(() => failure()?.hint).toContain('No 1 free ports of 127.0.0.1');
});
