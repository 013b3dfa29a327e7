import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

const CHUNK_BYTES = 1024 * 1024;

/** The SHA-256 of a file as it lies on the disk, in lower-case hexadecimal digits. */
export async function sha256Of(
  path: string,
  options: { readonly signal: AbortSignal; readonly onBytes: (readBytes: number) => void },
): Promise<string> {
  const hash = createHash('sha256');
  let readBytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, signal: options.signal })) {
    hash.update(chunk as Buffer);
    readBytes += (chunk as Buffer).length;
    options.onBytes(readBytes);
  }
  return hash.digest('hex');
}
