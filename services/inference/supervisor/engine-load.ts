/** A generation that runs, as far as it tells how its engine is. */
export interface RunningGeneration {
  /** Whether its reader wants nothing more for now: then the engine owes it nothing. */
  readonly paused: boolean;
  /** Whether the engine has begun to answer it. */
  readonly begun: boolean;
}

/** What the mesh has running on one engine. */
export class EngineLoad {
  readonly #generations = new Set<RunningGeneration>();
  /** Events that the engine has sent, of all generations. Only grows. */
  events = 0;
  /** Called when the last one has ended. */
  onIdle: () => void = () => {};

  /** How many run. */
  get running(): number {
    return this.#generations.size;
  }

  /** Those whose readers have stopped them. */
  get paused(): number {
    return this.#count((generation) => generation.paused);
  }

  /** Those that have had an event and whose readers want more. */
  get flowing(): number {
    return this.#count((generation) => generation.begun && !generation.paused);
  }

  /** Counts a generation from its dispatch on. */
  add(generation: RunningGeneration): void {
    this.#generations.add(generation);
  }

  /** It has ended. */
  remove(generation: RunningGeneration): void {
    if (this.#generations.delete(generation) && this.#generations.size === 0) this.onIdle();
  }

  #count(matches: (generation: RunningGeneration) => boolean): number {
    let count = 0;
    for (const generation of this.#generations) if (matches(generation)) count++;
    return count;
  }
}
