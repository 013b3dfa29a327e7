import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { startChild, untilReady } from './child.ts';
import { cpuBetween, cpuNsOf, processTree, readTreeUsage } from './process-tree.ts';

const BUSY_MS = 300;
const options = { cwd: tmpdir(), environment: { PATH: process.env.PATH ?? '' } };

describe.skipIf(process.platform !== 'linux')('process tree', () => {
  test('counts the CPU and memory of a grandchild', async () => {
    // The busy loop ends by its own CPU time, so the expected figure does not depend on the machine's load.
    const busy = `while (process.cpuUsage().user + process.cpuUsage().system < ${BUSY_MS * 1000}); setInterval(() => {}, 1e6)`;
    const child = startChild(['sh', '-c', `"${process.execPath}" -e '${busy}'; exit`], options);
    try {
      await untilReady(child, async () => cpuNsOf(readTreeUsage(child.pid)) > BUSY_MS * 1e6 * 0.95);
      const usage = readTreeUsage(child.pid);
      expect(usage.processes).toHaveLength(2);
      expect(usage.rssBytes).toBeGreaterThan(usage.mainRssBytes + 10 * 2 ** 20);
      expect(usage.peakRssBytes).toBeGreaterThanOrEqual(usage.rssBytes * 0.9);
    } finally {
      for (const pid of processTree(child.pid).slice(1)) process.kill(pid, 'SIGKILL');
      await child.stop();
    }
  });

  test('counts the CPU of a thread that has ended since', async () => {
    const burn = `while (process.threadCpuUsage().user < ${BUSY_MS * 1000});`;
    // The worker works for as long as it is let live, then works again for a while and ends.
    const program = `
      const { Worker } = require('node:worker_threads');
      const worker = new Worker("${burn} require('node:worker_threads').parentPort.once('message', () => process.exit())", { eval: true });
      process.once('SIGUSR2', () => worker.postMessage(''));
      setInterval(() => {}, 1e6);`;
    const child = startChild([process.execPath, '-e', program], options);
    try {
      await untilReady(child, async () => cpuNsOf(readTreeUsage(child.pid)) > BUSY_MS * 1e6 * 0.95);
      const before = readTreeUsage(child.pid);
      const threads = before.processes[0]?.threadsNs.size ?? 0;
      process.kill(child.pid, 'SIGUSR2');
      await untilReady(child, async () => (readTreeUsage(child.pid).processes[0]?.threadsNs.size ?? 0) < threads);
      const spentNs = cpuBetween(before, readTreeUsage(child.pid));
      // To the tick; without what the thread had used it would be some 300 ms below nothing.
      expect(spentNs).toBeGreaterThanOrEqual(-20e6);
    } finally {
      await child.stop();
    }
  });

  test('refuses a difference over a changed tree', async () => {
    const before = readTreeUsage(process.pid);
    const child = startChild(['sleep', '60'], options);
    try {
      expect(() => cpuBetween(before, readTreeUsage(process.pid))).toThrow('processes changed');
    } finally {
      await child.stop();
    }
  });
});
