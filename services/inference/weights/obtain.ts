import { mkdir } from 'node:fs/promises';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';
import type { AddressReference } from './address.ts';
import { WeightsCache } from './cache.ts';
import { diskFull } from './disk-space.ts';
import type { FetchResources } from './fetch-file.ts';
import { withFileLock } from './file-lock.ts';
import type { HubReference } from './reference.ts';

/** What obtaining weights works with. */
export interface WeightsResources extends Omit<FetchResources, 'subject' | 'cache'> {
  /** Where models are kept; made when there is none. */
  readonly modelsDirectory: string;
}

/**
 * The path of a reference's GGUF file, fetched and verified when it is not on the disk. What is there and was verified
 * before is used without any request.
 *
 * @param subject what messages begin with, e.g. "--model hf:user/repository"
 * @throws ConfigError for what somebody must change; TemporaryError for what may pass; the signal's reason.
 */
export async function obtainWeights(
  reference: HubReference | AddressReference,
  subject: string,
  resources: WeightsResources,
): Promise<string> {
  const { signal, hub, log, onProgress } = resources;
  const cache = new WeightsCache(resources.modelsDirectory, reference);
  try {
    const found = await cache.find();
    if (found !== undefined) return found;
    const isAddress = 'url' in reference;
    if (hub.offline && !isAddress) {
      throw new ConfigError(
        `${subject}: is not in ${cache.directory}, and HF_HUB_OFFLINE forbids to fetch it; unset it`,
      );
    }
    await mkdir(cache.directory, { recursive: true, mode: 0o700 });
    const onWait = (): void => {
      log.info({ model: reference.text }, 'waiting for another process that fetches this model');
      onProgress?.('waiting for another download of it', undefined);
    };
    return await withFileLock(cache.lockPath, { signal, onWait }, async () => {
      return (await cache.find()) ?? (await fetch(reference, { ...resources, subject, cache }));
    });
  } catch (error) {
    signal.throwIfAborted();
    throw await asStartError(error, subject, cache, 'url' in reference ? 'the address' : 'HF_ENDPOINT');
  }
}

/** Most starts have their models: the HTTP client for hubs, which is 10 MB of memory, is loaded for those that do not. */
async function fetch(reference: HubReference | AddressReference, resources: FetchResources): Promise<string> {
  if ('url' in reference) return await (await import('./fetch-address.ts')).fetchAddress(reference, resources);
  return await (await import('./fetch.ts')).fetchWeights(reference, resources);
}

/** Errors as the start tells them: what may pass gets its subject and what to do, a disk that refuses is named. */
async function asStartError(error: unknown, subject: string, cache: WeightsCache, toCheck: string): Promise<unknown> {
  const { directory } = cache;
  if (error instanceof TemporaryError) {
    const kept = (await cache.hasParts()) ? `: it goes on with what is kept in ${directory}` : '';
    return new TemporaryError(
      `${subject}: ${error.message}. Check the network and ${toCheck}, then start again${kept}`,
      { cause: error },
    );
  }
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(subject, directory, 'it is full');
  if (code === 'ERR_SQLITE_ERROR') {
    const { message } = error as Error;
    return new ConfigError(
      `${subject}: cannot be kept in ${directory} (${message}: ${cache.lockPath}); make it writable, or remove that file`,
      { cause: error },
    );
  }
  if (syscall !== undefined)
    return new ConfigError(`${subject}: cannot be kept in ${directory} (${code} at ${syscall})`);
  return error;
}
