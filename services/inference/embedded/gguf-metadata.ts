import { closeSync, openSync, readSync } from 'node:fs';

/** Metadata of a GGUF file: scalars by key; of an array only its length is kept. */
export type GgufMetadata = {
  readonly values: ReadonlyMap<string, string | number | boolean>;
  readonly arrayLengths: ReadonlyMap<string, number>;
};

export class NotGgufError extends Error {
  override readonly name = 'NotGgufError';
}

const CHUNK_BYTES = 1 << 20;
/** Far above any real key or template; a length beyond it means that the file is damaged. */
const MAX_STRING_BYTES = 16 << 20;
const TYPE = { bool: 7, string: 8, array: 9 } as const;
const FIXED_SIZE_BYTES: Readonly<Record<number, number>> = {
  0: 1, // uint8
  1: 1, // int8
  2: 2, // uint16
  3: 2, // int16
  4: 4, // uint32
  5: 4, // int32
  6: 4, // float32
  7: 1, // bool
  10: 8, // uint64
  11: 8, // int64
  12: 8, // float64
};

/** Reads forward through a file, a chunk at a time. */
class FileCursor {
  readonly #file: number;
  #chunk: Buffer = Buffer.alloc(0);
  #offset = 0;
  #nextPosition = 0;

  constructor(file: number) {
    this.#file = file;
  }

  take(length: number): Buffer {
    if (this.#chunk.length - this.#offset < length) this.#refill(length);
    const bytes = this.#chunk.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return bytes;
  }

  #refill(length: number): void {
    const rest = this.#chunk.subarray(this.#offset);
    const fresh = Buffer.alloc(Math.max(CHUNK_BYTES, length - rest.length));
    const read = readSync(this.#file, fresh, 0, fresh.length, this.#nextPosition);
    this.#nextPosition += read;
    this.#chunk = Buffer.concat([rest, fresh.subarray(0, read)]);
    this.#offset = 0;
    if (this.#chunk.length < length) throw new NotGgufError('it ends inside its header');
  }

  uint32(): number {
    return this.take(4).readUInt32LE();
  }

  uint64(): number {
    return Number(this.take(8).readBigUInt64LE());
  }

  string(): string {
    const length = this.uint64();
    if (length > MAX_STRING_BYTES) throw new NotGgufError('a string in its header is impossibly long');
    return this.take(length).toString('utf8');
  }
}

function scalar(cursor: FileCursor, type: number): string | number | boolean {
  if (type === TYPE.string) return cursor.string();
  const size = FIXED_SIZE_BYTES[type];
  if (size === undefined) throw new NotGgufError(`its header has a value of unknown type ${type}`);
  const bytes = cursor.take(size);
  if (type === TYPE.bool) return bytes[0] !== 0;
  if (type === 6) return bytes.readFloatLE();
  if (type === 12) return bytes.readDoubleLE();
  if (type === 10) return Number(bytes.readBigUInt64LE());
  if (type === 11) return Number(bytes.readBigInt64LE());
  return type % 2 === 0 ? bytes.readUIntLE(0, size) : bytes.readIntLE(0, size);
}

/** Passes over an array's elements and returns how many there are. */
function skipArray(cursor: FileCursor): number {
  const elementType = cursor.uint32();
  const length = cursor.uint64();
  for (let index = 0; index < length; index++) {
    if (elementType === TYPE.array) skipArray(cursor);
    else if (elementType === TYPE.string) cursor.take(cursor.uint64());
    else scalar(cursor, elementType);
  }
  return length;
}

/** Reads a GGUF file's metadata. Throws NotGgufError for any other file, and the system's error for an unreadable one. */
export function readGgufMetadata(path: string): GgufMetadata {
  const file = openSync(path, 'r');
  try {
    const cursor = new FileCursor(file);
    if (cursor.take(4).toString('latin1') !== 'GGUF') throw new NotGgufError('it does not begin with "GGUF"');
    const version = cursor.uint32();
    if (version < 2 || version > 3) throw new NotGgufError(`its GGUF version is ${version}, not 2 or 3`);
    cursor.uint64(); // number of tensors
    const count = cursor.uint64();
    const values = new Map<string, string | number | boolean>();
    const arrayLengths = new Map<string, number>();
    for (let index = 0; index < count; index++) {
      const key = cursor.string();
      const type = cursor.uint32();
      if (type === TYPE.array) arrayLengths.set(key, skipArray(cursor));
      else values.set(key, scalar(cursor, type));
    }
    return { values, arrayLengths };
  } finally {
    closeSync(file);
  }
}
