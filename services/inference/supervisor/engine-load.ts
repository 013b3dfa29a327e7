import { Roster } from '../../shared/lifecycle/roster.ts';

/** A generation that runs, as far as it tells how its engine is. */
export interface RunningGeneration {
  /** Whether its reader wants nothing more for now: then the engine owes it nothing. */
  readonly paused: boolean;
  /** Whether the engine has begun to answer it. */
  readonly begun: boolean;
  /** The most of the engine's context that it may fill, in tokens. Unset: that does not count. */
  readonly contextTokens?: number;
}

/** What the mesh has running on one engine. */
export class EngineLoad {
  readonly #generations = new Roster<RunningGeneration>();
  #contextTokens = 0;
  /** Events that the engine has sent, of all generations. Only grows. */
  events = 0;
  /** Tokens that the engine has made, of all generations. Only grows. */
  completionTokens = 0;
  /** Called when one has ended. */
  onLeft: () => void = () => {};
  /** Called when the last one has ended. */
  onIdle: () => void = () => {};

  /** How many run. */
  get running(): number {
    return this.#generations.size;
  }

  /** How much of the context all of them may fill, in tokens. */
  get contextTokens(): number {
    return this.#contextTokens;
  }

  /** Those whose readers have stopped them. */
  get paused(): number {
    return this.#count((generation) => generation.paused);
  }

  /** Those that have had an event and whose readers want more. */
  get flowing(): number {
    return this.#count((generation) => generation.begun && !generation.paused);
  }

  /** Counts a generation from its dispatch on, until the returned function is called; called again it does nothing. */
  add(generation: RunningGeneration): () => void {
    const leave = this.#generations.add(generation);
    const contextTokens = generation.contextTokens ?? 0;
    this.#contextTokens += contextTokens;
    let isRunning = true;
    return () => {
      if (!isRunning) return;
      isRunning = false;
      leave();
      this.#contextTokens -= contextTokens;
      this.onLeft();
      if (this.#generations.size === 0) this.onIdle();
    };
  }

  #count(matches: (generation: RunningGeneration) => boolean): number {
    let count = 0;
    for (const generation of this.#generations) if (matches(generation)) count++;
    return count;
  }
}
