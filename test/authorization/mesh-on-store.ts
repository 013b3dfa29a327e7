import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MeshOptions, startMesh, type TestMesh } from '../harness/mesh.ts';
import { hasRedis, startRedis } from '../harness/redis.ts';

/** The stores that a mesh in one process can have here. */
export const STORES: readonly ('SQLite' | 'Redis')[] = hasRedis() ? ['SQLite', 'Redis'] : ['SQLite'];

/** Starts a mesh in one process, on SQLite in its data directory or on a Redis server of its own. */
export async function startMeshOn(store: 'SQLite' | 'Redis', options: MeshOptions = {}): Promise<TestMesh> {
  if (store === 'SQLite') return await startMesh('one process', options);
  const redis = await startRedis();
  const directory = mkdtempSync(join(tmpdir(), 'mesh-pepper-'));
  const pepperFile = join(directory, 'pepper');
  writeFileSync(pepperFile, 'test-pepper-0123456789abcdef0123456789abcdef');
  const end = async (): Promise<void> => {
    await redis.server.stop('SIGKILL');
    rmSync(directory, { recursive: true });
  };
  try {
    const env = { ...options.env, REDIS_URL: redis.url, MESH_PEPPER_FILE: pepperFile };
    const mesh = await startMesh('one process', { ...options, env });
    return { ...mesh, redisUrl: redis.url, stop: () => mesh.stop().finally(end) };
  } catch (error) {
    await end();
    throw error;
  }
}
