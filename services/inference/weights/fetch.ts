import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';
import type { WeightsCache } from './cache.ts';
import { sha256Of } from './checksum.ts';
import { chooseFiles } from './choice.ts';
import { requireSpace } from './disk-space.ts';
import { HubConnection } from './hub-connection.ts';
import { HubRefusal } from './hub-errors.ts';
import { type HubFile, listRepository } from './hub-listing.ts';
import type { HubSettings } from './hub-settings.ts';
import { ByteProgress, type DisplayResources, type ProgressListener, perPercent } from './progress.ts';
import type { HubReference } from './reference.ts';
import { withRetries } from './retry.ts';
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

/** The list is small: who cannot get it in three attempts should learn it soon. */
const MAX_LIST_FAILURES = 3;

const FIRST_RETRY_MS = 1_000;

/**
 * Fetches and verifies all files of a reference, records that they are there, and returns the path of the one to load. The
 * caller holds the lock of the directory.
 *
 * @throws ConfigError; TemporaryError; the signal's reason; errors of the file system.
 */
export async function fetchWeights(reference: HubReference, resources: FetchResources): Promise<string> {
  const { hub, cache, subject, signal, log, firstRetryMs = FIRST_RETRY_MS, onProgress = () => {} } = resources;
  const connection = new HubConnection(hub, subject);
  try {
    const { commit, files } = await withRetries(() => listRepository(reference, { hub, connection, subject, signal }), {
      signal,
      maxFailures: MAX_LIST_FAILURES,
      firstDelayMs: firstRetryMs,
      reached: () => 0,
      onRetry: (problem) => log.warn({ model: reference.text, problem }, 'the hub is asked again after a pause'),
    });
    const choice = chooseFiles(files, reference.quantization);
    if ('problem' in choice) throw new HubRefusal(`${subject}: ${choice.problem}`);
    await requireSpace(await missingBytes(choice.files, cache), subject, cache.directory);
    const tell = perPercent(onProgress, sum(choice.files));
    for (const [index, file] of choice.files.entries()) {
      const before = sum(choice.files.slice(0, index));
      const onBytes = (stage: string, bytes: number): void => tell(stage, before + bytes);
      await fetchFile({ url: urlOf(reference, commit, file, hub), file, onBytes }, connection, resources);
    }
    await cache.write({ commit, files: choice.files });
    return cache.pathOf(choice.files[0]);
  } finally {
    await connection.close();
  }
}

function urlOf({ user, repository }: HubReference, commit: string, file: HubFile, { endpoint }: HubSettings): URL {
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  return new URL(`${endpoint}/${user}/${repository}/resolve/${commit}/${path}`);
}

async function missingBytes(files: readonly HubFile[], cache: WeightsCache): Promise<number> {
  let bytes = 0;
  for (const file of files) {
    if ((await sizeOf(cache.pathOf(file))) === file.sizeBytes) continue;
    bytes += Math.max(0, file.sizeBytes - (await sizeOf(cache.partPathOf(file))));
  }
  return bytes;
}

function sum(files: readonly HubFile[]): number {
  return files.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
}

/** One of the files. */
interface FileFetch {
  readonly url: URL;
  readonly file: HubFile;
  readonly onBytes: (stage: string, bytes: number) => void;
}

async function fetchFile(what: FileFetch, connection: HubConnection, resources: FetchResources): Promise<void> {
  const { file } = what;
  const { cache, log } = resources;
  const path = cache.pathOf(file);
  const partPath = cache.partPathOf(file);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // From a start that was killed before it wrote its record, or put there by somebody.
  if ((await sizeOf(path)) === file.sizeBytes && (await isIntact(path, what, resources))) return;
  await cache.removeOtherParts(file);
  for (let fetches = 1; ; fetches += 1) {
    try {
      await gather(what, partPath, connection, resources);
      if (await isIntact(partPath, what, resources)) break;
      throw new WrongBytes(`${file.path} has another checksum than the hub lists`);
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

async function isIntact(path: string, { file, onBytes: tell }: FileFetch, resources: FetchResources): Promise<boolean> {
  const { signal, terminal } = resources;
  const progress = new ByteProgress(`verifying ${file.path}`, file.sizeBytes, resources);
  // Reading is quick: a line that is rewritten shows that something happens, log lines would only be noise.
  const onBytes = (bytes: number): void => {
    if (terminal.isTTY) progress.update(bytes);
    tell('verifying', bytes);
  };
  try {
    return (await sha256Of(path, { signal, onBytes })) === file.sha256;
  } finally {
    progress.interrupt();
  }
}
