import { createHash } from 'node:crypto';
import type { AddressReference } from './address.ts';
import { sha256Of } from './checksum.ts';
import { requireSpace } from './disk-space.ts';
import { type FetchResources, FIRST_RETRY_MS, fetchFile, missingBytes } from './fetch-file.ts';
import { HubConnection } from './hub-connection.ts';
import { HubRefusal } from './hub-errors.ts';
import type { HubFile } from './hub-listing.ts';
import { GGUF_MAGIC, isGguf } from './model-directory.ts';
import { perPercent } from './progress.ts';
import { withRetries } from './retry.ts';
import { totalOf } from './transfer.ts';

/** Who cannot be asked for the beginning of a file in three attempts is not there. */
const MAX_LOOK_FAILURES = 3;

/**
 * Fetches the file at an address, records it, and returns its path. What its bytes should be nobody has told: only its size and
 * its beginning are checked. The caller holds the lock of the directory.
 *
 * @throws ConfigError; TemporaryError; the signal's reason; errors of the file system.
 */
export async function fetchAddress(reference: AddressReference, resources: FetchResources): Promise<string> {
  const { cache, subject, signal, log, firstRetryMs = FIRST_RETRY_MS, onProgress = () => {} } = resources;
  const { url, text, fileName } = reference;
  // Nothing that belongs to the hub goes there, above all no token.
  const server = { endpoint: url.origin, token: undefined, offline: false, kind: 'address' } as const;
  const connection = new HubConnection(server, subject);
  try {
    const { sizeBytes, version } = await withRetries(() => look(reference, connection, resources), {
      signal,
      maxFailures: MAX_LOOK_FAILURES,
      firstDelayMs: firstRetryMs,
      reached: () => 0,
      onRetry: (problem) => log.warn({ model: text, problem }, 'the server is asked again after a pause'),
    });
    // The name of the part holds it, so that two versions are never mixed.
    const file: HubFile = { path: fileName, sizeBytes, sha256: version };
    await requireSpace(await missingBytes([file], cache), subject, cache.directory);
    const tell = perPercent(onProgress, sizeBytes);
    const problemOf = async (path: string) => ((await isGguf(path)) ? undefined : `${fileName} is no GGUF file`);
    await fetchFile({ url, file, onBytes: tell, problemOf }, connection, resources);
    const path = cache.pathOf(file);
    const sha256 = await sha256Of(path, { signal, onBytes: (bytes) => tell('reading', bytes) });
    log.warn(
      { model: text, sha256 },
      'no checksum is known for an address: only size and form of the file were checked',
    );
    await cache.write({ commit: version, files: [{ ...file, sha256 }] });
    return path;
  } finally {
    await connection.close();
  }
}

/** How large the file is and which version; asks for its first bytes, because some servers answer no HEAD. */
async function look(
  { url, text }: AddressReference,
  connection: HubConnection,
  { signal, subject }: FetchResources,
): Promise<{ readonly sizeBytes: number; readonly version: string }> {
  const answer = await connection.get(url, { range: `bytes=0-${GGUF_MAGIC.length - 1}` }, signal, [200, 206]);
  let beginning = '';
  for await (const piece of answer.bytes()) {
    beginning += piece.toString('latin1');
    if (beginning.length >= GGUF_MAGIC.length) break;
  }
  answer.discard();
  if (!beginning.startsWith(GGUF_MAGIC)) throw new HubRefusal(`${subject}: there is no GGUF file at this address`);
  const sizeBytes = totalOf(answer);
  if (!sizeBytes) throw new HubRefusal(`${subject}: the server does not tell how large the file is`);
  const { etag, 'last-modified': modified } = answer.headers;
  const version = createHash('sha256').update([text, sizeBytes, etag, modified].join('\n')).digest('hex');
  return { sizeBytes, version };
}
