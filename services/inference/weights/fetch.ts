import { sha256Of } from './checksum.ts';
import { chooseFiles } from './choice.ts';
import { requireSpace } from './disk-space.ts';
import { type FetchResources, FIRST_RETRY_MS, type FileFetch, fetchFile, missingBytes } from './fetch-file.ts';
import { HubConnection } from './hub-connection.ts';
import { HubRefusal } from './hub-errors.ts';
import { type HubFile, listRepository } from './hub-listing.ts';
import type { HubSettings } from './hub-settings.ts';
import { perPercent } from './progress.ts';
import type { HubReference } from './reference.ts';
import { withRetries } from './retry.ts';

/** The list is small: who cannot get it in three attempts should learn it soon. */
const MAX_LIST_FAILURES = 3;

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
      const url = urlOf(reference, commit, file, hub);
      await fetchFile({ url, file, onBytes, problemOf: otherChecksum(file, signal) }, connection, resources);
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

function sum(files: readonly HubFile[]): number {
  return files.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
}

function otherChecksum(file: HubFile, signal: AbortSignal): FileFetch['problemOf'] {
  return async (path, onBytes) => {
    const isIntact = (await sha256Of(path, { signal, onBytes })) === file.sha256;
    return isIntact ? undefined : `${file.path} has another checksum than the hub lists`;
  };
}
