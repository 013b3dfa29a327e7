import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';
import type { WeightsCache } from './cache.ts';
import type { HubConnection } from './hub-connection.ts';
import type { HubFile } from './hub-listing.ts';
import type { HubSettings } from './hub-settings.ts';
import { ByteProgress, type DisplayResources, type ProgressListener } from './progress.ts';
import { removePart, sizeOf, transfer, WrongBytes } from './transfer.ts';

/** What a fetch works with. */
export interface FetchResources extends DisplayResources {
  readonly hub: HubSettings;
  readonly cache: WeightsCache;
  /** What messages begin with. */
  readonly subject: string;
  /** Ends it; what was fetched stays for the next time. */
  readonly signal: AbortSignal;
  /** Before the second attempt, in milliseconds. Default 1 s. */
  readonly firstRetryMs?: number | undefined;
  /** Is told what happens and how far all files together are, 0 to 100, once per percent. */
  readonly onProgress?: ProgressListener | undefined;
}

/** How often a file is fetched in all whose bytes are not those that the hub has listed. */
const MAX_FETCHES = 3;

/** Before the second attempt, when the resources do not say. */
export const FIRST_RETRY_MS = 1_000;

/** How many bytes of these files are still to be fetched. */
export async function missingBytes(files: readonly HubFile[], cache: WeightsCache): Promise<number> {
  let bytes = 0;
  for (const file of files) {
    if ((await sizeOf(cache.pathOf(file))) === file.sizeBytes) continue;
    bytes += Math.max(0, file.sizeBytes - (await sizeOf(cache.partPathOf(file))));
  }
  return bytes;
}

/** One file to fetch. */
export interface FileFetch {
  readonly url: URL;
  readonly file: HubFile;
  /** Is told what happens and how many bytes of the file it is through with. */
  readonly onBytes: (stage: string, bytes: number) => void;
  /** What is wrong with the bytes on the disk. Undefined: nothing. */
  readonly problemOf: (path: string, onBytes: (readBytes: number) => void) => Promise<string | undefined>;
}

/**
 * Fetches a file to its place in the cache, unless it is there.
 *
 * @throws ConfigError; TemporaryError; the signal's reason; errors of the file system.
 */
export async function fetchFile(what: FileFetch, connection: HubConnection, resources: FetchResources): Promise<void> {
  const { file } = what;
  const { cache, log } = resources;
  const path = cache.pathOf(file);
  const partPath = cache.partPathOf(file);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // From a start that was killed before it wrote its record, or put there by somebody.
  if ((await sizeOf(path)) === file.sizeBytes && (await problemOf(path, what, resources)) === undefined) return;
  await cache.removeOtherParts(file);
  for (let fetches = 1; ; fetches += 1) {
    try {
      await gather(what, partPath, connection, resources);
      const problem = await problemOf(partPath, what, resources);
      if (problem === undefined) break;
      throw new WrongBytes(problem);
    } catch (error) {
      if (!(error instanceof WrongBytes)) throw error;
      await removePart(partPath);
      const problem = error.message;
      if (fetches === MAX_FETCHES) {
        throw new TemporaryError(`${problem}, ${MAX_FETCHES} times: a proxy or the disk may change it`, {
          cause: error,
        });
      }
      log.warn({ file: file.path, problem }, 'the download is wrong and begins anew');
    }
  }
  await rename(partPath, path);
  await removePart(partPath);
}

async function gather(
  { url, file, onBytes: tell }: FileFetch,
  partPath: string,
  connection: HubConnection,
  resources: FetchResources,
): Promise<void> {
  const { signal, log, firstRetryMs = FIRST_RETRY_MS } = resources;
  const progress = new ByteProgress(`downloading ${file.path}`, file.sizeBytes, resources);
  const onBytes = (bytes: number): void => {
    progress.update(bytes);
    tell('downloading', bytes);
  };
  const onRetry = (problem: string): void => {
    progress.interrupt();
    log.warn({ file: file.path, problem }, 'the download goes on after a pause');
  };
  try {
    await transfer({ url, file, partPath }, { connection, signal, firstRetryMs, onBytes, onRetry });
  } finally {
    progress.interrupt();
  }
}

async function problemOf(path: string, what: FileFetch, resources: FetchResources): Promise<string | undefined> {
  const { file, onBytes: tell } = what;
  const progress = new ByteProgress(`verifying ${file.path}`, file.sizeBytes, resources);
  // Reading is quick: a line that is rewritten shows that something happens, log lines would only be noise.
  const onBytes = (bytes: number): void => {
    if (resources.terminal.isTTY) progress.update(bytes);
    tell('verifying', bytes);
  };
  try {
    return await what.problemOf(path, onBytes);
  } finally {
    progress.interrupt();
  }
}
