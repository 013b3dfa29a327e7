import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { isOwnerAlive, ownerName, ownerOf } from './process-owner.ts';
import { startTimeOf } from './process-table.ts';

const onLinux = test.runIf(process.platform === 'linux');

test('a name tells its process', () => {
  expect(ownerOf('12-0b5c-4d_77')).toEqual({ processId: 12, startTime: '0b5c-4d:77' });
  expect(ownerOf(ownerName())).toMatchObject({ processId: process.pid });
  for (const name of ['', 'README', '0-a_1', '-1-a_1', '12', '12-']) expect(ownerOf(name)).toBeUndefined();
});

onLinux('this process is alive, and whoever had its number before is not', () => {
  const startTime = startTimeOf(process.pid) ?? '';
  expect(isOwnerAlive({ processId: process.pid, startTime })).toBe(true);
  expect(isOwnerAlive({ processId: process.pid, startTime: startTime.replace(/\d+$/, '1') })).toBe(false);
  expect(isOwnerAlive({ processId: process.pid, startTime: `another-boot:${startTime.split(':')[1]}` })).toBe(false);
});

onLinux('one that has ended is not', async () => {
  const child = spawn('sleep', ['600']);
  const owner = { processId: child.pid ?? 0, startTime: startTimeOf(child.pid ?? 0) ?? '' };
  expect(isOwnerAlive(owner)).toBe(true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(isOwnerAlive(owner)).toBe(false);
});

test('where starts are not told, the number decides', () => {
  expect(isOwnerAlive({ processId: 4_999_999, startTime: 'unknown' })).toBe(false);
});
