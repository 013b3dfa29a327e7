import { crc32 } from 'node:zlib';
import { LRUCache } from 'lru-cache';

/** How many starts of prompts are remembered, of all models together; about 10 MB. */
const MOST_PREFIXES = 65_536;

/** Which engine computed the start of a prompt last, so that its cache may still hold it. Bounded; the oldest goes first. */
export class PrefixBook {
  readonly #engines: LRUCache<number, string>;

  constructor(most: number = MOST_PREFIXES) {
    this.#engines = new LRUCache({ max: most });
  }

  /** The engine with the longest of these starts, as a candidate id. `hashes` are those of prefixHashes. */
  find(modelId: string, hashes: readonly number[]): string | undefined {
    const seed = crc32(modelId);
    for (let at = hashes.length - 1; at >= 0; at -= 1) {
      const engine = this.#engines.get((hashes[at] ?? 0) ^ seed);
      if (engine !== undefined) return engine;
    }
    return undefined;
  }

  /** An engine computes a prompt with these starts. */
  remember(modelId: string, hashes: readonly number[], engine: string): void {
    const seed = crc32(modelId);
    for (const hash of hashes) this.#engines.set(hash ^ seed, engine);
  }
}
