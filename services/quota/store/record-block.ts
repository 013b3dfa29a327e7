/**
 * A block of records, each a name and some bytes: the records one after the other, then of each its hash, how many blocks before
 * this one its last version lies (0: there is none) and where it ends, then their number; 4 bytes each, little-endian.
 */
export interface RecordBlock {
  readonly bytes: Uint8Array;
  readonly size: number;
  hash(i: number): number;
  previous(i: number): number;
  name(i: number): string;
  value(i: number): Uint8Array;
  /** The record of that name; -1: there is none. */
  indexOf(hash: number, name: string): number;
}

/** Bytes of a block that fill a page of the file as its only row; a larger record has a block of its own. */
const BLOCK_BYTES = 4_040;

/** Bytes of a record besides its name and value. */
const ENTRY_BYTES = 16;

/** Hashes a name. */
export function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Gathers the records of one block. */
export class RecordBlockBuilder {
  #bytes = Buffer.alloc(2 * BLOCK_BYTES);
  #length = 0;
  #hashes: number[] = [];
  #previous: number[] = [];
  #ends: number[] = [];

  get isEmpty(): boolean {
    return this.#hashes.length === 0;
  }

  /** Whether it has room for one more, whose hash it must not have yet: hash and block together name a record. */
  takes(hash: number, name: string, value: Uint8Array): boolean {
    if (this.isEmpty) return true;
    const directory = (this.#hashes.length + 1) * ENTRY_BYTES + 8;
    return this.#length + 3 * name.length + value.length + directory <= BLOCK_BYTES && !this.#hashes.includes(hash);
  }

  add(hash: number, previous: number, name: string, value: Uint8Array): void {
    const needed = this.#length + 3 * name.length + value.length + ENTRY_BYTES;
    if (needed > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes.subarray(0, this.#length)], 2 * needed);
    const nameBytes = this.#bytes.write(name, this.#length + 4);
    this.#bytes.writeUInt32LE(nameBytes, this.#length);
    this.#bytes.set(value, this.#length + 4 + nameBytes);
    this.#length += 4 + nameBytes + value.length;
    this.#hashes.push(hash);
    this.#previous.push(previous);
    this.#ends.push(this.#length);
  }

  /** The block; the builder is empty again. */
  build(): Uint8Array {
    const payload = Math.ceil(this.#length / 4) * 4;
    const words = [...this.#hashes, ...this.#previous, ...this.#ends, this.#hashes.length];
    const bytes = new Uint8Array(payload + 4 * words.length);
    bytes.set(this.#bytes.subarray(0, this.#length));
    new Uint32Array(bytes.buffer, payload).set(words);
    this.#length = 0;
    this.#hashes = [];
    this.#previous = [];
    this.#ends = [];
    return bytes;
  }
}

/** Reads what build made. */
export function openRecordBlock(stored: Uint8Array): RecordBlock {
  // Numbers must lie at multiples of their size; what the driver hands out may not.
  const bytes = stored.byteOffset % 4 === 0 ? stored : stored.slice();
  const all = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const size = all[all.length - 1] ?? 0;
  const words = all.subarray(all.length - 1 - 3 * size);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const beginOf = (i: number): number => (i === 0 ? 0 : (words[2 * size + i - 1] ?? 0));
  const nameEnd = (i: number): number => beginOf(i) + 4 + buffer.readUInt32LE(beginOf(i));
  const name = (i: number): string => buffer.toString('utf8', beginOf(i) + 4, nameEnd(i));
  return {
    ...{ bytes, size, name },
    hash: (i) => words[i] ?? 0,
    previous: (i) => words[size + i] ?? 0,
    value: (i) => bytes.subarray(nameEnd(i), words[2 * size + i]),
    indexOf(hash, wanted) {
      const i = words.subarray(0, size).indexOf(hash);
      return i >= 0 && name(i) === wanted ? i : -1;
    },
  };
}
