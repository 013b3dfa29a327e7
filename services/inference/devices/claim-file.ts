import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { z } from 'zod';

/** More than any claim needs; others may write here, and what they write is read whole. */
const MAX_FILE_BYTES = 1 << 20;

/** All users may add files, and each removes only its own. */
const DIRECTORY_MODE = 0o1777;

const claimSchema = z.object({
  pidNamespace: z.string(),
  shares: z.boolean(),
  memory: z.record(z.string(), z.number().min(0)),
});

/** What one start of an engine claims. */
export interface ClaimedDevices {
  /** Whether others may be on the same devices. */
  readonly shares: boolean;
  /** Bytes by the driver's name of the device. */
  readonly memory: Readonly<Record<string, number>>;
}

/** A claim as it was found. */
export interface FoundClaim extends ClaimedDevices {
  /** The processes among which those of its mesh are counted; in another one the same numbers mean others. */
  readonly pidNamespace: string;
  readonly userId: number;
  /** When it was last renewed, in milliseconds since the epoch. */
  readonly renewedAtMs: number;
}

/**
 * Makes the directory where there is none.
 *
 * @throws Error of the file system
 */
export function ensureClaimsDirectory(path: string): void {
  // Only what is new gets its mode: what an operator made is as the operator wants it.
  if (mkdirSync(path, { recursive: true }) !== undefined) chmodSync(path, DIRECTORY_MODE);
}

/**
 * Writes a claim, whole or not at all, for every user to read. It is never written again: a list of a directory can miss a
 * file that is just replaced.
 *
 * @throws Error of the file system
 */
export function writeClaim(path: string, { shares, memory }: ClaimedDevices): void {
  writeWhole(path, { pidNamespace: pidNamespace(), shares, memory });
}

/**
 * Shows that a claim is still meant.
 *
 * @returns false when it is gone
 * @throws Error of the file system
 */
export function renewClaim(path: string): boolean {
  try {
    utimesSync(path, new Date(), new Date());
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/**
 * Removes a claim with its processes. Does nothing when it is gone.
 *
 * @throws Error of the file system
 */
export function removeClaim(path: string): void {
  rmSync(path, { force: true });
  rmSync(processesPath(path), { force: true });
}

/**
 * Writes down which processes use what a claim is for.
 *
 * @throws Error of the file system
 */
export function writeProcesses(path: string, processIds: readonly number[]): void {
  writeWhole(processesPath(path), processIds);
}

/**
 * Reads a claim, which anybody may have written.
 *
 * @returns undefined when it is gone
 * @throws Error when it cannot be read or is none
 */
export function readClaim(path: string): FoundClaim | undefined {
  const found = readWhole(path);
  return found && { ...claimSchema.parse(found.content), userId: found.userId, renewedAtMs: found.writtenAtMs };
}

/**
 * Reads which processes use what a claim is for. Empty: its mesh knows none yet.
 *
 * @throws Error when they cannot be read
 */
export function readProcesses(path: string): readonly number[] {
  return z.array(z.int()).parse(readWhole(processesPath(path))?.content ?? []);
}

/** The process-id namespace of this process, e.g. "pid:[4026531836]". Empty: the platform has none. */
export function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

function processesPath(path: string): string {
  return `${path}.processes`;
}

function writeWhole(path: string, content: object): void {
  const draft = `${path}.new`;
  writeFileSync(draft, JSON.stringify(content));
  chmodSync(draft, 0o644);
  renameSync(draft, path);
}

function readWhole(path: string): { content: unknown; userId: number; writtenAtMs: number } | undefined {
  let descriptor: number;
  try {
    // A link could lead anywhere, and a pipe would wait for a writer.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || stat.size > MAX_FILE_BYTES) throw new Error(`${path} is no file of the mesh`);
    const content: unknown = JSON.parse(readFileSync(descriptor, 'utf8'));
    return { content, userId: stat.uid, writtenAtMs: stat.mtimeMs };
  } finally {
    closeSync(descriptor);
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
