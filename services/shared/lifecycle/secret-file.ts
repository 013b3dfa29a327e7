import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { ConfigError } from './config-source.ts';

/** Secrets shorter than this are refused, in bytes. */
const MINIMUM_BYTES = 32;

/**
 * The secret in a file. With `create` a missing file is made (mode 0600, 256 random bits as base64url), and when several
 * processes make it at the same time all get the same one.
 *
 * @throws ConfigError when the file cannot be read or is too short.
 */
export function readSecret(path: string, options: { create: boolean }): string {
  if (options.create) createOnce(path);
  let secret: string;
  try {
    secret = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(
      `secret file ${path}: cannot be read (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  if (Buffer.byteLength(secret) < MINIMUM_BYTES) {
    throw new ConfigError(`secret file ${path}: needs at least ${MINIMUM_BYTES} bytes`);
  }
  return secret;
}

/** Writes a secret that was just made, readable by its owner only. */
export function writeSecret(path: string, secret: string): void {
  writeFileSync(path, `${secret}\n`, { mode: 0o600 });
}

/** A link appears whole or not at all, so no process ever reads half a secret. */
function createOnce(path: string): void {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft);
  }
}
