import type { Candidate } from '../fleet/snapshot.ts';
import type { EngineLoads } from './engine-loads.ts';
import { isFullForAll } from './verdict.ts';

/** Those of a list of engines that are not full for every request, kept as loads change: nobody looks at a thousand full ones. */
export class FreeEngines {
  readonly #engines: readonly Candidate[];
  readonly #loads: EngineLoads;
  readonly #byId: ReadonlyMap<string, Candidate>;
  /** Whether any of them can be full at all. */
  readonly #isLimited: boolean;
  readonly #free: Candidate[] = [];
  /** Where each of them stands among the free ones. */
  readonly #places = new Map<string, number>();
  /** How many changes of loads it knows of. */
  #known = -1;

  constructor(engines: readonly Candidate[], loads: EngineLoads) {
    this.#engines = engines;
    this.#loads = loads;
    this.#isLimited = engines.some(({ engine }) => engine.maxConcurrency > 0 || engine.maxConcurrentContextTokens > 0);
    this.#byId = new Map(this.#isLimited ? engines.map((candidate) => [candidate.id, candidate]) : []);
  }

  /** The free ones, in no order. The same array changes later. */
  get free(): readonly Candidate[] {
    if (!this.#isLimited) return this.#engines;
    const changed = this.#known < 0 ? undefined : this.#loads.changedSince(this.#known);
    this.#known = this.#loads.changes;
    if (changed) for (const id of changed) this.#update(this.#byId.get(id));
    else for (const candidate of this.#engines) this.#update(candidate);
    return this.#free;
  }

  #update(candidate: Candidate | undefined): void {
    if (!candidate) return;
    const place = this.#places.get(candidate.id);
    const isFree = !isFullForAll(candidate, this.#loads.of(candidate.id));
    if (isFree === (place !== undefined)) return;
    if (place === undefined) this.#places.set(candidate.id, this.#free.push(candidate) - 1);
    else this.#remove(candidate, place);
  }

  /** The last one takes its place. */
  #remove({ id }: Candidate, place: number): void {
    const last = this.#free.pop();
    this.#places.delete(id);
    if (!last || last.id === id) return;
    this.#free[place] = last;
    this.#places.set(last.id, place);
  }
}
