import { MeshError } from '../shared/errors/mesh-error.ts';
import type { ModelEntry } from './engines/model-entry.ts';
import type { EngineLoad } from './supervisor/engine-load.ts';

/** An engine with limits of its own. */
export interface Limited {
  readonly name: string;
  readonly entry: Pick<ModelEntry, 'max_concurrency' | 'max_concurrent_context_tokens'>;
  readonly status: { readonly load: EngineLoad };
}

/** Who wants to go in. */
export interface AtGate {
  /** The most of the context that it may fill, in tokens. */
  readonly contextTokens: number;
  /** Ends the waiting; its reason is a MeshError. */
  readonly signal: AbortSignal;
  /** There is room: what runs now is counted in the engine's load before it returns. One of these two is called, once. */
  readonly go: () => void;
  readonly refuse: (error: MeshError) => void;
}

interface Waiter {
  readonly contextTokens: number;
  /** It is his turn. */
  readonly enter: () => void;
}

/**
 * How many wait at one engine, and how long, in milliseconds. Routers keep the queue, for they know what else could take a
 * request; here only those wait that several routers sent for the same place, until these have heard of each other.
 */
const MOST_WAITING = 16;
const WAIT_MS = 1_000;

/** Holds requests to the limits of their engines. What does not fit waits for a moment, in the order in which it came. */
export class EngineGate {
  readonly #waitMs: number;
  readonly #queues = new Map<string, Set<Waiter>>();

  constructor(waitMs: number = WAIT_MS) {
    this.#waitMs = waitMs;
  }

  /** Lets a request in at once or when there is room, or refuses it: ENGINE_BUSY when that takes too long. */
  enter(engine: Limited, request: AtGate): void {
    if (!this.#queues.has(engine.name) && hasRoom(engine, request.contextTokens)) request.go();
    else this.#wait(engine, request);
  }

  #wait(engine: Limited, { contextTokens, signal, go, refuse }: AtGate): void {
    const { name, status } = engine;
    const queue = this.#queues.get(name) ?? new Set();
    if (signal.aborted || queue.size >= MOST_WAITING) {
      refuse(signal.aborted ? signal.reason : busy(name));
      return;
    }
    const leave = (): void => {
      clearTimeout(late);
      signal.removeEventListener('abort', onAbort);
      queue.delete(waiter);
      if (queue.size === 0) this.#queues.delete(name);
    };
    const waiter: Waiter = {
      contextTokens,
      enter() {
        leave();
        go();
      },
    };
    const end = (error: MeshError): void => {
      leave();
      refuse(error);
      // Who came after him may need less.
      this.#look(engine);
    };
    const onAbort = (): void => end(signal.reason);
    const late = setTimeout(() => end(busy(name)), this.#waitMs);
    signal.addEventListener('abort', onAbort, { once: true });
    queue.add(waiter);
    this.#queues.set(name, queue);
    status.load.onLeft = () => this.#look(engine);
  }

  /** Lets in those for whom there is room, in their order: nobody is overtaken for ever. */
  #look(engine: Limited): void {
    for (const waiter of this.#queues.get(engine.name) ?? []) {
      if (!hasRoom(engine, waiter.contextTokens)) return;
      waiter.enter();
    }
  }
}

function hasRoom({ entry, status: { load } }: Limited, contextTokens: number): boolean {
  const { max_concurrency: most, max_concurrent_context_tokens: mostTokens } = entry;
  if (most !== undefined && load.running >= most) return false;
  // A request that is larger than the limit runs alone.
  return mostTokens === undefined || load.running === 0 || load.contextTokens + contextTokens <= mostTokens;
}

function busy(engine: string): MeshError {
  return new MeshError('ENGINE_BUSY', 'The engine runs as many requests as it may.', {
    metadata: { engine },
    retryAfterMs: 1_000,
  });
}
