/**
 * A block of records, each a name and some bytes, as RecordBlockBuilder makes it: the records one after the other, then of each
 * its hash, how many blocks before this one its last version lies (0: there is none) and where it ends, then their number; 4
 * bytes each, little-endian.
 */
export class RecordBlock {
  readonly size: number;
  readonly #bytes: Buffer;
  readonly #words: Uint32Array;

  constructor(stored: Uint8Array) {
    // Numbers must lie at multiples of their size; what the driver hands out may not.
    const { buffer, byteOffset, length } = stored.byteOffset % 4 === 0 ? stored : stored.slice();
    this.#bytes = Buffer.from(buffer, byteOffset, length);
    this.size = this.#bytes.readUInt32LE(length - 4);
    this.#words = new Uint32Array(buffer, byteOffset + length - 4 - 12 * this.size, 3 * this.size);
  }

  hash(i: number): number {
    return this.#words[i] ?? 0;
  }

  previous(i: number): number {
    return this.#words[this.size + i] ?? 0;
  }

  name(i: number): string {
    const begin = this.#beginOf(i);
    return this.#bytes.toString('utf8', begin + 4, begin + 4 + this.#bytes.readUInt32LE(begin));
  }

  value(i: number): Uint8Array {
    return this.decode(i, (bytes, begin, end) => bytes.subarray(begin, end));
  }

  /** What `decode` makes of the bytes from a place up to another one, which are the value's. */
  decode<T>(i: number, decode: (bytes: Buffer, begin: number, end: number) => T): T {
    const begin = this.#beginOf(i);
    return decode(this.#bytes, begin + 4 + this.#bytes.readUInt32LE(begin), this.#endOf(i));
  }

  /** The record of that name; -1: there is none. */
  indexOf(hash: number, name: string): number {
    const i = this.#words.indexOf(hash);
    return i >= 0 && i < this.size && this.name(i) === name ? i : -1;
  }

  #beginOf(i: number): number {
    return i === 0 ? 0 : this.#endOf(i - 1);
  }

  #endOf(i: number): number {
    return this.#words[2 * this.size + i] ?? 0;
  }
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
