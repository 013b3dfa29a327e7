import { describe, expect, test } from 'vitest';
import type { RedisScript } from '../../services/shared/store/redis-script.ts';
import { APPEND, FINISH, SUBMIT, SWEEP } from '../../services/tasks/store/redis-scripts.ts';
import { hasRedis } from '../harness/redis.ts';
import { checkTasks } from './task-checker.ts';
import { type Mistake, runTaskMiniature } from './task-miniature.ts';

/** The script with a mistake in it. */
function edited({ lua, sha1 }: RedisScript, sound: string, broken: string): Mistake {
  if (!lua.includes(sound)) throw new Error(`the script has no '${sound}' any more: break it elsewhere`);
  return { sha1, broken: lua.replace(sound, broken) };
}

/** The rules that a miniature breaks. */
async function brokenBy(mistake: Mistake): Promise<string[]> {
  const violations = checkTasks(await runTaskMiniature(mistake));
  return [...new Set(violations.map((text) => text.replace(/:.*/s, '')))];
}

describe.runIf(hasRedis())('many workers on one Redis that loses replies, some slower than their lease', () => {
  test('nothing is wrong with the real store', async () => {
    const history = await runTaskMiniature();
    expect(checkTasks(history)).toEqual([]);
    expect(history.stored.filter(({ attempt }) => attempt > 1).length).toBeGreaterThan(10);
  });

  test('an end that asks for no fence is found: a superseded worker overwrites a result', async () => {
    const mistake = edited(FINISH, 'if not holds(id, attempt) then', 'if false then');
    expect(await brokenBy(mistake)).toEqual(expect.arrayContaining(['changed', 'ended']));
  });

  test('text that asks for no fence is found: two runs are mixed', async () => {
    const mistake = edited(APPEND, 'if not holds(id, ARGV[4]) then return 0 end', '');
    expect(await brokenBy(mistake)).toContain('text');
  });

  test('a repeated text that is written again is found', async () => {
    const mistake = edited(APPEND, 'if sequence < deltas then return 1 end', '');
    expect(await brokenBy(mistake)).toContain('text');
  });

  test('a key that is not looked up is found', async () => {
    const mistake = edited(SUBMIT, "if known[1] then return { 'known', read(known[1]) } end", '');
    expect(await brokenBy(mistake)).toContain('twice');
  });

  test('a sweep that takes a lease away and puts nothing back is found', async () => {
    const putBack = 'put_back(id, 0, 0, true, tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6])';
    const mistake = edited(SWEEP, putBack, "call('ZREM', P .. 'leases', id)");
    expect(await brokenBy(mistake)).toContain('lost');
  });
});
