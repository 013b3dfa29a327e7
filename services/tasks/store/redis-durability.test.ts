import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { hasRedis, startDurableRedis, startRedis } from '../../../test/harness/redis.ts';
import { closeStore, openStore } from '../../shared/store/store.ts';
import { warnOfForgetting } from './redis-durability.ts';

describe.skipIf(!hasRedis())('a start on a Redis server', () => {
  /** What is written to the log. */
  async function warned({ url, server }: Awaited<ReturnType<typeof startRedis>>): Promise<string[]> {
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const store = await openStore({ redisUrl: url, sqlitePath: '', log, commandTimeoutMs: 10_000 });
    if (store.kind !== 'redis') throw new Error('expected Redis');
    await warnOfForgetting(store, log);
    await closeStore(store);
    // One that is away is not blamed.
    await warnOfForgetting(store, log);
    await server.stop('SIGKILL');
    return lines;
  }

  test('that would forget tasks says so, and what to set', async () => {
    const lines = await warned(await startRedis());
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/appendonly no.*Set \\"appendonly yes\\"/);
  });

  test('that keeps them says nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mesh-durability-'));
    expect(await warned(await startDurableRedis(directory))).toEqual([]);
    rmSync(directory, { recursive: true });
  });
});
