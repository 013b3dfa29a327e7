import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { hashOf, RecordBlock, RecordBlockBuilder } from './record-block.ts';
import { RecordIndex } from './record-index.ts';

/**
 * Records by name, written one behind the other in the order in which they change, many to a page, and found by an index in
 * memory. So a change of any record costs some bytes at the end of a table and not a page in the midst of it. The last version
 * of a record is the one that counts.
 *
 * All of it is part of the caller's transaction.
 */
export class SqliteRecordLog {
  readonly #insert;
  readonly #select;
  readonly #after;
  readonly #delete;
  #index = new RecordIndex();
  /** What is written, superseded versions among it. */
  #written = 0;
  #last = 0;
  readonly #builder = new RecordBlockBuilder();
  /** What the transaction changed in the index: a hash, from which block, to which, and so on. */
  #moves: number[] = [];
  #begun = { written: 0, last: 0 };
  #lately = new Map<number, RecordBlock>();

  /** `table` has the columns block INTEGER PRIMARY KEY and records BLOB. */
  constructor({ database }: SqliteStore, table: string) {
    this.#insert = database.prepare(`INSERT INTO ${table} VALUES (?, ?)`);
    this.#select = database.prepare(`SELECT records FROM ${table} WHERE block = ?`);
    this.#after = database.prepare(`SELECT block, records FROM ${table} WHERE block > ? ORDER BY block LIMIT 1`);
    this.#delete = database.prepare(`DELETE FROM ${table} WHERE block = ?`);
  }

  /** Records that are found. */
  get size(): number {
    return this.#index.size;
  }

  /** Versions of records in the table. */
  get written(): number {
    return this.#written;
  }

  /** A transaction begins. */
  begin(): void {
    if (this.#moves.length > 0) this.#moves = [];
    this.#begun = { written: this.#written, last: this.#last };
  }

  /** The transaction was undone. */
  undo(): void {
    if (this.#begun.last === 0) {
      this.#moves = [];
      this.#index = new RecordIndex();
    }
    for (let i = this.#moves.length - 3; i >= 0; i -= 3) {
      const [hash = 0, from = 0, to = 0] = this.#moves.slice(i, i + 3);
      this.#index.move(hash, to, from);
    }
    this.#written = this.#begun.written;
    this.#last = this.#begun.last;
    if (!this.#builder.isEmpty) this.#builder.build();
    this.#lately.clear();
    this.begin();
  }

  /** Reads what another connection wrote since, or all. What that one moved elsewhere stands in blocks that are read now. */
  catchUp(): void {
    this.#lately.clear();
    for (let next = this.#read(this.#last); next; next = this.#read(next.block)) {
      const { block, records } = next;
      for (let i = 0; i < records.size; i += 1) {
        const distance = records.previous(i);
        const from = distance === 0 ? 0 : block - distance;
        // What is read for the first time is forgotten as a whole, if need be.
        if (this.#begun.last === 0) this.#index.move(records.hash(i), from, block);
        else this.#move(records.hash(i), from, block);
      }
      this.#last = block;
      this.#written += records.size;
    }
  }

  /** What `decode` makes of the bytes of a record, which lie between two places; undefined: there is none. */
  get<T>(name: string, decode: (bytes: Buffer, begin: number, end: number) => T): T | undefined {
    const hash = hashOf(name);
    const block = this.#index.blockOf(hash) ?? this.#lastBlockOf(hash, name);
    if (block === 0) return undefined;
    const records = this.#block(block);
    const i = records?.indexOf(hash, name) ?? -1;
    return i < 0 ? undefined : records?.decode(i, decode);
  }

  /** Adds a record, whose bytes are copied, or a new version of one that `isKept`: get found it, or it was put. `flush` writes it. */
  put(name: string, value: Uint8Array, isKept: boolean): void {
    const hash = hashOf(name);
    const from = isKept ? (this.#index.blockOf(hash) ?? this.#lastBlockOf(hash, name)) : 0;
    this.#append(hash, from, name, value);
  }

  /** Writes what was put. */
  flush(): void {
    if (this.#builder.isEmpty) return;
    this.#insert.run(this.#last + 1, this.#builder.build());
    this.#last += 1;
  }

  /**
   * Goes through the blocks after one, the oldest first, and drops records and blocks that nobody needs.
   *
   * @param what of a record that counts: it stays where it is, is written anew at the end, or is dropped
   * @returns the last block that was looked at; 0: there was none, or it was the last of all
   */
  walk(after: number, blocks: number, what: (name: string, value: Uint8Array) => 'stay' | 'move' | 'drop'): number {
    const end = this.#last;
    let at = after;
    for (let looked = 0; looked < blocks; looked += 1) {
      const next = this.#read(at);
      if (!next || next.block > end) return 0;
      at = next.block;
      this.#clean(next.block, next.records, what);
    }
    return at;
  }

  #clean(block: number, records: RecordBlock, what: Parameters<SqliteRecordLog['walk']>[2]): void {
    let left = 0;
    for (let i = 0; i < records.size; i += 1) {
      const hash = records.hash(i);
      if (!this.#index.has(hash, block)) continue;
      const [name, value] = [records.name(i), records.value(i)];
      // An older version is found there too when it was dropped and the index was read anew.
      const isLast = (this.#index.blockOf(hash) ?? this.#lastBlockOf(hash, name)) === block;
      const then = isLast ? what(name, value) : 'drop';
      if (then === 'move') this.#append(hash, block, name, value);
      else if (then === 'drop') this.#move(hash, block, 0);
      else left += 1;
    }
    // The last one stays: numbers are never given twice.
    if (left > 0 || block === this.#last) return;
    this.#delete.run(block);
    this.#lately.delete(block);
    this.#written -= records.size;
  }

  #append(hash: number, from: number, name: string, value: Uint8Array): void {
    if (!this.#builder.takes(hash, name, value)) this.flush();
    const block = this.#last + 1;
    this.#builder.add(hash, from === 0 ? 0 : block - from, name, value);
    this.#move(hash, from, block);
    this.#written += 1;
  }

  #move(hash: number, from: number, to: number): void {
    this.#index.move(hash, from, to);
    this.#moves.push(hash, from, to);
  }

  /** Of several that may have a record the one with its last version; 0: none has. */
  #lastBlockOf(hash: number, name: string): number {
    const blocks = this.#index.blocksOf(hash);
    if (blocks.includes(this.#last + 1)) this.flush();
    let last = 0;
    for (const block of blocks) {
      if (block > last && (this.#block(block)?.indexOf(hash, name) ?? -1) >= 0) last = block;
    }
    return last;
  }

  #block(block: number): RecordBlock | undefined {
    const known = this.#lately.get(block);
    if (known) return known;
    const row = this.#select.get(block);
    if (!(row?.records instanceof Uint8Array)) return undefined;
    const records = new RecordBlock(row.records);
    if (this.#lately.size >= LATELY) this.#lately.delete(this.#lately.keys().next().value ?? 0);
    this.#lately.set(block, records);
    return records;
  }

  #read(after: number): { readonly block: number; readonly records: RecordBlock } | undefined {
    const row = this.#after.get(after);
    if (!(row?.records instanceof Uint8Array)) return undefined;
    return { block: Number(row.block), records: new RecordBlock(row.records) };
  }
}

/** Blocks that are remembered: the records of one caller often lie together. */
const LATELY = 4;
