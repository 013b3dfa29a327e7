// On one core V8 gets one helper thread and compiles where it serves (bin/node.sh says why); with more it keeps its own choice.
import { execFileSync, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

const node = resolve(import.meta.dirname, '../../bin/node.sh');
const print = ['sh', node, '--eval', 'process.stdout.write(process.execArgv.join())'];
const ONE_CORE = /--v8-pool-size=1,--no-concurrent-recompilation/;

test.skipIf(spawnSync('taskset', ['-V']).error)('a program bound to one core (needs taskset)', () => {
  const [core] = execFileSync('taskset', ['-cp', String(process.pid)], { encoding: 'utf8' }).match(/\d+(?=\D*$)/) ?? [];
  expect(execFileSync('taskset', ['-c', String(core), ...print], { encoding: 'utf8' })).toMatch(ONE_CORE);
});

test.skipIf(availableParallelism() === 1)('a program with more cores (needs two)', () => {
  expect(execFileSync('sh', print.slice(1), { encoding: 'utf8' })).not.toMatch(ONE_CORE);
});
