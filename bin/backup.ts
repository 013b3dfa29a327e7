import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { ConfigError } from '../services/shared/lifecycle/config-source.ts';

/** What belongs to the store: without the pepper no key of it is known. */
const COMPANIONS = ['pepper', 'mesh.token', 'admin.key'];

/**
 * Copies the embedded store of a data directory and the secrets that it needs into a new directory, also while a mesh writes to it:
 * what the copy holds is one moment's state. A mesh that is started with the copy as its data directory goes on from there.
 *
 * @returns the names of the files that were copied.
 * @throws ConfigError when there is no store, or the target holds something.
 */
export async function backUp(dataDir: string, target: string): Promise<string[]> {
  const path = join(dataDir, 'mesh.db');
  if (!existsSync(path)) throw new ConfigError(`${path}: there is no store; with REDIS_URL it is in Redis`);
  if (existsSync(target) && readdirSync(target).length > 0) throw new ConfigError(`${target}: is not empty`);
  mkdirSync(target, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    await backup(database, join(target, 'mesh.db'));
  } finally {
    database.close();
  }
  const found = COMPANIONS.filter((name) => existsSync(join(dataDir, name)));
  for (const name of found) copyFileSync(join(dataDir, name), join(target, name));
  return ['mesh.db', ...found];
}
