import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Redis } from 'ioredis';

/** Bytes that somebody else could read, and where they lie. */
export interface Remains {
  readonly place: string;
  readonly bytes: Buffer;
}

/** Every file below a directory, but those with one of these names. */
export function filesBelow(directory: string, besides: readonly string[]): Remains[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !besides.includes(entry.name))
    .map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return { place: path.slice(directory.length + 1), bytes: readFileSync(path) };
    });
}

/** Every key of a Redis and its value as it is stored. */
export async function redisRemains(url: string): Promise<Remains[]> {
  const redis = new Redis(url);
  try {
    // Else what is in a longer value could not be told.
    await redis.config('SET', 'rdbcompression', 'no');
    const keys = await redis.keysBuffer('*');
    return await Promise.all(
      keys.map(async (key) => {
        const value = (await redis.dumpBuffer(key)) ?? Buffer.alloc(0);
        return { place: `Redis: ${key.toString()}`, bytes: Buffer.concat([key, value]) };
      }),
    );
  } finally {
    redis.disconnect();
  }
}

/** Command lines of the processes and all below them; of those below also the environment and the program. */
export function processRemains(processIds: readonly number[]): Remains[] {
  const below = descendants(processIds);
  return [
    ...processIds.map((id) => ({ place: `command line of ${id}`, bytes: procFile(id, 'cmdline') })),
    ...below.map((id) => ({ place: `command line of ${programOf(id)}`, bytes: procFile(id, 'cmdline') })),
    ...below.map((id) => ({ place: `environment of ${programOf(id)}`, bytes: procFile(id, 'environ') })),
  ];
}

function descendants(processIds: readonly number[]): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    // The name of a program may hold anything, but no text after the last parenthesis.
    const stat = procFile(Number(name), 'stat').toString();
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const found: number[] = [];
  for (const open = [...processIds]; open.length > 0; ) {
    const parent = open.pop();
    for (const [child, itsParent] of parents) {
      if (itsParent !== parent || found.includes(child)) continue;
      found.push(child);
      open.push(child);
    }
  }
  return found;
}

function programOf(id: number): string {
  const words = procFile(id, 'cmdline').toString().split('\0');
  return `${id} ${words
    .slice(0, 4)
    .map((word) => basename(word))
    .join(' ')}`;
}

/** Empty for a process that is gone. */
function procFile(id: number, name: string): Buffer {
  try {
    readlinkSync(`/proc/${id}/exe`);
    return readFileSync(`/proc/${id}/${name}`);
  } catch {
    return Buffer.alloc(0);
  }
}
