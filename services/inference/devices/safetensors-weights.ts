import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelFilesError } from './model-files.ts';

/** Far above the header of the largest model; a length beyond it means that the file is damaged. */
const MAX_HEADER_BYTES = 100 << 20;

const FLOAT_BYTES: Readonly<Record<string, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

/**
 * The size of a model's weights in memory, from the headers of its safetensors.
 *
 * @param floatBytes what each unquantised number is converted to. Undefined: it stays as it is stored.
 * @returns undefined: the directory holds none of the files.
 * @throws ModelFilesError when a file is damaged.
 */
export async function safetensorsBytes(directory: string, floatBytes?: number): Promise<number | undefined> {
  const { files, totalBytes } = await weightFiles(directory);
  const sizes = await Promise.all(files.map((file) => fileBytes(join(directory, file), floatBytes)));
  if (sizes.length > 0 && sizes.every((size) => size !== undefined)) return sizes.reduce((sum, size) => sum + size, 0);
  // The index is downloaded first and says what all parts are together.
  return totalBytes;
}

/** The files that hold each weight once: some models come with a second, consolidated copy. */
async function weightFiles(directory: string): Promise<{ files: readonly string[]; totalBytes?: number | undefined }> {
  const indexName = 'model.safetensors.index.json';
  const text = await readFile(join(directory, indexName), 'utf8').catch(() => undefined);
  if (text !== undefined) {
    const index = parseJson(text, indexName) as {
      metadata?: { total_size?: unknown };
      weight_map?: Record<string, string>;
    };
    const totalBytes = Number(index.metadata?.total_size);
    return {
      // A name out of a file that anybody may have made: it must not lead out of the directory.
      files: [...new Set(Object.values(index.weight_map ?? {}))].filter((name) => !name.includes('/')),
      totalBytes: totalBytes > 0 ? totalBytes : undefined,
    };
  }
  const all = (await readdir(directory)).filter((name) => name.endsWith('.safetensors'));
  const parts = all.filter((name) => !name.startsWith('consolidated'));
  return { files: parts.length > 0 ? parts : all };
}

async function fileBytes(path: string, floatBytes: number | undefined): Promise<number | undefined> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return undefined;
  try {
    const { buffer: start, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
    const length = bytesRead === 8 ? Number(start.readBigUInt64LE()) : 0;
    const { size } = await file.stat();
    if (length === 0 || length > Math.min(MAX_HEADER_BYTES, size)) throw damaged(path);
    const { buffer: header } = await file.read(Buffer.alloc(length), 0, length, 8);
    return tensorBytes(parseJson(header.toString('utf8'), path) as Record<string, Tensor>, floatBytes);
  } finally {
    await file.close();
  }
}

interface Tensor {
  readonly dtype?: string;
  readonly data_offsets?: readonly [number, number];
}

function tensorBytes(header: Readonly<Record<string, Tensor>>, floatBytes: number | undefined): number {
  let sum = 0;
  for (const { dtype, data_offsets: offsets } of Object.values(header)) {
    if (dtype === undefined || !offsets) continue; // The entry with remarks on the file.
    const storedBytes = FLOAT_BYTES[dtype];
    const factor = floatBytes === undefined || storedBytes === undefined ? 1 : floatBytes / storedBytes;
    sum += (offsets[1] - offsets[0]) * factor;
  }
  return sum;
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damaged(what);
  }
}

function damaged(path: string): ModelFilesError {
  return new ModelFilesError(`${path.split('/').at(-1)} is damaged: download the model again.`);
}
