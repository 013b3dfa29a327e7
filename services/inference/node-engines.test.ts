import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { inferenceConfigSchema } from './config.ts';
import { createNodeEngines } from './node-engines.ts';
import { newMark, startTimeOf } from './supervisor/process-table.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  rmSync(dataDir, { recursive: true });
});

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
  const node = createNodeEngines(
    inferenceConfigSchema.parse({ node: 'here', devices: 'none', models }),
    {
      registry: undefined,
      advertisedAddress: '',
      dataDir,
      nodePath: process.execPath,
      environmentVariable: (name) => process.env[name],
      log: pino({ level: 'silent' }),
      now: Date.now,
    },
    { onChange() {}, onIdle() {} },
  );
  closers.push(async () => {
    await node.stop(0);
    await node.close();
  });
  await node.start();
  const failure = () => node.slots.get('chat')?.engine.failure;
  await expect.poll(() => failure()?.hint, { timeout: 20_000 }).toContain('No 1 free ports of 127.0.0.1');
});
