/** Where records lie: 32 bits of a hash of their names to blocks, some 20 bytes each. Names of one hash are told apart by the block. */
export class RecordIndex {
  #hashes = new Uint32Array(SMALLEST);
  /** 0: empty; -1: was one and is no more. Blocks begin at 1. */
  #blocks = new Float64Array(SMALLEST);
  /** Slots that are not empty. */
  #used = 0;
  #size = 0;

  /** Records. */
  get size(): number {
    return this.#size;
  }

  /** A block in which a record of this hash may lie; 0: there is none; undefined: there are several. */
  blockOf(hash: number): number | undefined {
    let found = EMPTY;
    for (let slot = this.#first(hash); this.#blocks[slot] !== EMPTY; slot = this.#next(slot)) {
      if (this.#hashes[slot] !== hash || this.#blocks[slot] === GONE) continue;
      if (found !== EMPTY) return undefined;
      found = this.#blocks[slot] ?? EMPTY;
    }
    return found;
  }

  /** The blocks in which a record of this hash may lie. */
  blocksOf(hash: number): number[] {
    const found: number[] = [];
    for (let slot = this.#first(hash); this.#blocks[slot] !== EMPTY; slot = this.#next(slot)) {
      if (this.#hashes[slot] === hash && this.#blocks[slot] !== GONE) found.push(this.#blocks[slot] ?? EMPTY);
    }
    return found;
  }

  /** Whether a record of this hash lies in the block. */
  has(hash: number, block: number): boolean {
    return this.#slotOf(hash, block) >= 0;
  }

  /** Moves a record from one block to another; from 0: it is new; to 0: it is dropped. */
  move(hash: number, from: number, to: number): void {
    const slot = from === EMPTY ? -1 : this.#slotOf(hash, from);
    if (slot < 0) {
      if (to !== EMPTY) this.#insert(hash, to);
      return;
    }
    this.#blocks[slot] = to === EMPTY ? GONE : to;
    if (to === EMPTY) this.#size -= 1;
  }

  #insert(hash: number, block: number): void {
    if (this.#used >= this.#hashes.length * FULL) this.#rebuild();
    let slot = this.#first(hash);
    while (this.#blocks[slot] !== EMPTY) slot = this.#next(slot);
    this.#hashes[slot] = hash;
    this.#blocks[slot] = block;
    this.#used += 1;
    this.#size += 1;
  }

  #rebuild(): void {
    const [hashes, blocks] = [this.#hashes, this.#blocks];
    const length = Math.max(SMALLEST, Math.ceil((1.5 * this.#size) / FULL));
    this.#hashes = new Uint32Array(length);
    this.#blocks = new Float64Array(length);
    this.#used = 0;
    this.#size = 0;
    for (let slot = 0; slot < blocks.length; slot += 1) {
      const block = blocks[slot] ?? EMPTY;
      if (block > EMPTY) this.#insert(hashes[slot] ?? 0, block);
    }
  }

  #slotOf(hash: number, block: number): number {
    for (let slot = this.#first(hash); this.#blocks[slot] !== EMPTY; slot = this.#next(slot)) {
      if (this.#hashes[slot] === hash && this.#blocks[slot] === block) return slot;
    }
    return -1;
  }

  #first(hash: number): number {
    return Math.floor((hash / 2 ** 32) * this.#hashes.length);
  }

  #next(slot: number): number {
    return slot + 1 === this.#hashes.length ? 0 : slot + 1;
  }
}

const EMPTY = 0;
const GONE = -1;
const SMALLEST = 1_024;

/** Fuller than this it is rebuilt, with room for half as much again. */
const FULL = 0.7;
