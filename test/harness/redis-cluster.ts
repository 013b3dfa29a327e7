import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { eventually, freePort, startProgram } from './processes.ts';

/** A Redis Cluster of a test's own, on this machine. */
export interface RedisCluster {
  readonly ports: readonly number[];
  close(): Promise<void>;
}

/** All hash slots of a cluster. */
const SLOTS = 16_384;

/** Starts so many nodes, each with an equal part of all slots, and waits until they know each other. */
export async function startRedisCluster(nodes: number): Promise<RedisCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-cluster-'));
  const started: Awaited<ReturnType<typeof startNode>>[] = [];
  for (let i = 0; i < nodes; i += 1) started.push(await startNode(directory, `nodes-${i}.conf`));
  const [first] = started;
  for (const [i, { redis }] of started.entries()) {
    const [from, to] = [Math.ceil((i * SLOTS) / nodes), Math.ceil(((i + 1) * SLOTS) / nodes) - 1];
    await redis.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
    if (first && i > 0) await redis.call('CLUSTER', 'MEET', '127.0.0.1', first.port, first.busPort);
  }
  for (const { redis } of started) {
    await eventually('the cluster is whole', async () => {
      const info = String(await redis.call('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes}`);
    });
    redis.disconnect();
  }
  return {
    ports: started.map(({ port }) => port),
    async close() {
      await Promise.all(started.map(({ server }) => server.stop('SIGKILL')));
      rmSync(directory, { recursive: true });
    },
  };
}

async function startNode(directory: string, file: string) {
  const [port, busPort] = [await freePort(), await freePort()];
  const listen = ['--port', `${port}`, '--cluster-port', `${busPort}`, '--bind', '127.0.0.1', '--dir', directory];
  const cluster = ['--cluster-enabled', 'yes', '--cluster-config-file', file];
  const server = startProgram('redis-server', [...listen, ...cluster, '--save', '', '--appendonly', 'no'], {});
  const redis = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 });
  // Until it listens.
  redis.on('error', () => {});
  return { port, busPort, server, redis };
}
