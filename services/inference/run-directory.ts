import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pid } from 'node:process';

/** Room for a path in the kernel's socket address, less the ending zero. */
const SOCKET_PATH_LIMIT_BYTES = 107;

/** What is appended to the directory: a slash and a name like "1a2b3c4d.sock". */
const SOCKET_NAME_BYTES = 16;

/** A private directory for the sockets of this process. */
export interface RunDirectory {
  readonly path: string;
  remove(): Promise<void>;
}

/**
 * Makes a directory with mode 0700 below the data directory, or below the system's temporary one when the path would be
 * too long for a socket. What processes that are gone have left there is removed.
 */
export function createRunDirectory(dataDir: string): RunDirectory {
  const parent = join(dataDir, 'run');
  let path = join(parent, String(pid));
  if (Buffer.byteLength(path) + SOCKET_NAME_BYTES > SOCKET_PATH_LIMIT_BYTES) {
    path = mkdtempSync(join(tmpdir(), 'mesh-'));
  } else {
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    removeLeftovers(parent);
    mkdirSync(path, { recursive: true, mode: 0o700 });
  }
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

function removeLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const owner = Number(name);
    if (Number.isInteger(owner) && owner > 0 && !isAlive(owner)) rmSync(join(parent, name), { recursive: true });
  }
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
