import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pid } from 'node:process';
import { startTimeOf } from './supervisor/process-table.ts';

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
  let path = join(parent, ownName());
  if (Buffer.byteLength(path) + SOCKET_NAME_BYTES > SOCKET_PATH_LIMIT_BYTES) {
    path = mkdtempSync(join(tmpdir(), 'mesh-'));
  } else {
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    removeLeftovers(parent);
    mkdirSync(path, { recursive: true, mode: 0o700 });
  }
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/**
 * Our process id and when we were started, in short: in a container every run of the mesh may have the same id, and the
 * sockets of the one before would be taken for ours.
 */
function ownName(): string {
  return nameOf(pid) ?? String(pid);
}

/** Undefined: there is no such process, or the platform does not tell its start. */
function nameOf(processId: number): string | undefined {
  const startTime = startTimeOf(processId);
  return startTime === undefined ? undefined : `${processId}-${Number(startTime.split(':')[1]).toString(36)}`;
}

function removeLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const owner = Number(/^([1-9]\d*)(?:-[0-9a-z]+)?$/.exec(name)?.[1]);
    if (owner > 0 && !isOwnerAlive(owner, name)) rmSync(join(parent, name), { recursive: true, force: true });
  }
}

function isOwnerAlive(owner: number, name: string): boolean {
  return isAlive(owner) && (name === String(owner) || name === nameOf(owner));
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
