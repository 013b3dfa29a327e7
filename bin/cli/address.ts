import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isLoopbackHost } from '../../services/shared/transport/loopback.ts';
import { CliError, EXIT, usageError } from './exit-code.ts';

/** Where and as whom to call, as the command line and the environment say it. */
export interface AddressOptions {
  readonly url?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly dataDir?: string | undefined;
}

const DEFAULT_PORT = '8000';

/**
 * The address of the mesh without a slash at its end: --url, MESH_URL, else the port of a start in the same environment.
 *
 * @throws CliError for what is no address.
 */
export function meshUrl({ url }: AddressOptions, env: NodeJS.ProcessEnv): string {
  const text = url || env.MESH_URL || `http://127.0.0.1:${env.MESH_PORT || env.PORT || DEFAULT_PORT}`;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw usageError(url ? '--url' : 'MESH_URL', 'expected http://host:port or https://host');
  }
  const parsed = new URL(text);
  if (parsed.username || parsed.password) {
    throw usageError(url ? '--url' : 'MESH_URL', 'holds a secret; give keys by MESH_API_KEY or --key-file');
  }
  return `${parsed.origin}${parsed.pathname.replace(/\/+$/, '')}`;
}

/** Whether the address is of this machine. */
export function isLocal(url: string): boolean {
  return isLoopbackHost(new URL(url).hostname.replace(/^\[|\]$/g, ''));
}

/**
 * The key to call with: --key-file, MESH_API_KEY, else for an address of this machine the admin key of the data directory, which
 * is sent to no other. Undefined: none was found.
 *
 * @param readInput gives the first line of standard input, for `--key-file -`
 * @throws CliError when a file that is named or there cannot be read.
 */
export async function findKey(
  options: AddressOptions,
  url: string,
  env: NodeJS.ProcessEnv,
  workingDirectory: string,
  readInput: () => Promise<string>,
): Promise<string | undefined> {
  if (options.keyFile === '-') return requireKey((await readInput()).trim(), '--key-file -');
  if (options.keyFile !== undefined)
    return requireKey(readKey(resolve(workingDirectory, options.keyFile)), '--key-file');
  if (env.MESH_API_KEY) return requireKey(env.MESH_API_KEY.trim(), 'MESH_API_KEY');
  if (!isLocal(url)) return undefined;
  const path = join(resolve(workingDirectory, options.dataDir ?? env.MESH_DATA_DIR ?? '.mesh'), 'admin.key');
  return readKey(path, { mayLack: true });
}

function readKey(path: string, { mayLack }: { mayLack: true }): string | undefined;
function readKey(path: string): string;
function readKey(path: string, { mayLack } = { mayLack: false }): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (mayLack && (code === 'ENOENT' || code === 'ENOTDIR')) return undefined;
    throw new CliError(
      `The key file cannot be read: ${(error as Error).message}`,
      EXIT.denied,
      'Set MESH_API_KEY instead.',
    );
  }
}

/** A header takes it; anything else is a mistake that no message may repeat. */
function requireKey(key: string, what: string): string {
  if (!/^[\x21-\x7e]+$/.test(key)) throw new CliError(`${what}: holds no key in one line`, EXIT.denied);
  return key;
}
