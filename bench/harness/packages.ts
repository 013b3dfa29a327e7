import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { problemOf } from './programs.ts';

/**
 * Installs the packages of a folder with a lockfile of its own, which the project's own install does not carry, where they are missing
 * or older than the lockfile. Returns what went wrong, undefined for nothing.
 */
export function installPackages(directory: string): string | undefined {
  // npm writes it last.
  const installed = join(directory, 'node_modules/.package-lock.json');
  const lockfile = join(directory, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lockfile).mtimeMs) return undefined;
  console.error(`Installing the packages of ${directory} (once) ...`);
  return problemOf(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], directory);
}
