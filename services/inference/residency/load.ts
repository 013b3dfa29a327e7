import { type Engine, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';

/** One who is told how a load goes. */
interface Follower {
  readonly untold: Engine[];
  readonly wake: () => void;
}

/** One load by hand, from fetching its files until it is ready. Whoever asks for the same model follows the same load. */
export class Load {
  readonly #followers = new Set<Follower>();
  #engine: Engine;
  #outcome: { readonly error: MeshError | undefined } | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get isOver(): boolean {
    return this.#outcome !== undefined;
  }

  /** The model as it is now. */
  progress(engine: Engine): void {
    if (this.isOver) return;
    this.#engine = engine;
    for (const { untold, wake } of this.#followers) {
      // A slow follower gets the latest of each state: what it missed within one is over.
      if (untold.at(-1)?.state === engine.state) untold.pop();
      untold.push(engine);
      wake();
    }
  }

  /** It is ready. */
  end(engine: Engine): void {
    if (this.#engine.state !== EngineState.READY) this.progress(engine);
    this.#settle(undefined);
  }

  fail(error: unknown): void {
    this.#settle(asMeshError(error));
  }

  /**
   * Every change from now on, the present state first; ends with the load, or when `signal` aborts, which does not end it.
   *
   * @throws MeshError of the load.
   */
  async *follow(signal: AbortSignal): AsyncGenerator<Engine> {
    let changed = Promise.withResolvers<void>();
    if (signal.aborted) return;
    const follower: Follower = { untold: [this.#engine], wake: () => changed.resolve() };
    this.#followers.add(follower);
    // The signal, not a finally: a generator that waits in a yield is not finalised when its reader vanishes.
    signal.addEventListener('abort', () => {
      this.#followers.delete(follower);
      changed.resolve();
    });
    while (!signal.aborted) {
      const engine = follower.untold.shift();
      if (engine) yield engine;
      else if (this.#outcome) break;
      else {
        changed = Promise.withResolvers();
        await changed.promise;
      }
    }
    this.#followers.delete(follower);
    if (!signal.aborted && this.#outcome?.error) throw this.#outcome.error;
  }

  #settle(error: MeshError | undefined): void {
    this.#outcome ??= { error };
    for (const { wake } of this.#followers) wake();
  }
}
