import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { isAbsolute, join, resolve, sep } from 'node:path';
import { hubPathSchema } from './hub-path.ts';

/** What every GGUF file begins with. */
export const GGUF_MAGIC = 'GGUF';

/** Where models of a data directory are kept. */
export function modelsDirectoryOf(dataDir: string): string {
  return join(dataDir, 'models');
}

/**
 * The file that a path of a caller names below the model directory: a regular file that begins as GGUF does, with every
 * link on the way resolved. The path is absolute or relative to that directory.
 *
 * @returns undefined for anything else. Why is not told: whoever asks must not learn of other files. Nothing outside of the
 *   directory is looked at, as far as no link in it leads there.
 */
export async function ggufUnder(modelsDirectory: string, path: string): Promise<string | undefined> {
  try {
    const root = await realpath(modelsDirectory);
    const inner = isAbsolute(path) ? below([resolve(modelsDirectory), root], path) : path;
    // The schema refuses "..", empty parts, backslashes, control characters and the cache's own files.
    if (inner === undefined || !inner.endsWith('.gguf') || !hubPathSchema.safeParse(inner).success) return undefined;
    const found = await realpath(join(root, inner));
    if (!found.startsWith(root + sep)) return undefined;
    return (await isGguf(found)) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** What follows one of the directories in an absolute path. */
function below(directories: readonly string[], path: string): string | undefined {
  const directory = directories.find((one) => path.startsWith(one + sep));
  return directory === undefined ? undefined : path.slice(directory.length + 1);
}

/**
 * Whether a file begins as GGUF does. Opening must not wait for a pipe, nor follow a link that came after the path was resolved. Reading at a position fails for
 * what is no file.
 *
 * @throws errors of the file system.
 */
export async function isGguf(path: string): Promise<boolean> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(GGUF_MAGIC.length), 0, GGUF_MAGIC.length, 0);
    return buffer.toString('latin1', 0, bytesRead) === GGUF_MAGIC;
  } finally {
    await file.close();
  }
}
