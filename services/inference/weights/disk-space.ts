import { statfs } from 'node:fs/promises';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';

/** A disk that is full to the last byte harms everybody on it. */
const SPARE_BYTES = 64 * 1024 * 1024;

/**
 * Refuses before anything is fetched what the disk cannot hold.
 *
 * @throws ConfigError that says how much is needed.
 */
export async function requireSpace(neededBytes: number, subject: string, directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (neededBytes === 0 || neededBytes + SPARE_BYTES <= bavail * bsize) return;
  throw diskFull(subject, directory, `${gigabytes(neededBytes)} are needed, ${gigabytes(bavail * bsize)} are free`);
}

/** The error of a disk that cannot hold a model. */
export function diskFull(subject: string, directory: string, problem: string): ConfigError {
  return new ConfigError(
    `${subject}: not enough room on the disk of ${directory}: ${problem}. Free some, or put the data elsewhere with --data-dir`,
  );
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
