import { invalidField, MeshError } from '../shared/errors/mesh-error.ts';
import type { Generate } from '../shared/transport/generate.ts';
import { tracedGenerate } from '../shared/transport/traced-generate.ts';
import { CountedSink } from './counted-sink.ts';
import { EngineGate } from './engine-gate.ts';
import { engineGeneration } from './engine-span.ts';
import type { EngineConnection } from './engines/engine.ts';
import { notLoaded } from './residency/loads.ts';
import type { ModelSlot } from './residency/model-slot.ts';
import type { Residency } from './residency/residency.ts';
import { WaitedSink } from './waited-sink.ts';

/** What calls of engines work with. */
export interface EngineCallsParts {
  /** The models of the node by name. */
  readonly slots: ReadonlyMap<string, ModelSlot>;
  readonly residency: Residency;
  /** Aborts with a MeshError when the node takes nothing new. */
  readonly stopping: AbortSignal;
}

/** Who is admitted to an engine. */
interface Admission {
  readonly engine: string;
  /** The most of its context that it may fill, in tokens. Unset: it needs none of the places that are limited. */
  readonly contextTokens?: (slot: ModelSlot) => number;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Runs on the engine; counts what it runs before it returns, so that the engine is not taken for idle. */
  readonly run: (connection: EngineConnection, slot: ModelSlot, waitedMs: number) => void;
  readonly refuse: (error: MeshError) => void;
}

/** The way of requests to the engines of this node, at once or when their model has come. */
export class EngineCalls {
  readonly #parts: EngineCallsParts;
  readonly #gate = new EngineGate();

  constructor(parts: EngineCallsParts) {
    this.#parts = parts;
  }

  readonly generate: Generate = (request, call, sink) => {
    if (request.morePrompts.length > 0) {
      sink.fail(invalidField('more_prompts', 'an engine takes one prompt at a time; ask the router'));
      return;
    }
    const contextTokens = (slot: ModelSlot): number => request.contextTokens || slot.status.engine.contextTokens;
    this.#admit({
      engine: request.engine,
      contextTokens,
      signal: call.signal,
      run(connection, slot, waitedMs) {
        const told = waitedMs > 0 ? new WaitedSink(sink, waitedMs) : sink;
        const counted = new CountedSink(slot.status.load, call.flow, told, contextTokens(slot));
        const generate: Generate = (...asked) => connection.generate(...asked);
        tracedGenerate(generate, engineGeneration(slot.status.engine))(request, call, counted);
      },
      refuse: (error) => sink.fail(error),
    });
  };

  /** As InferenceContext.call. */
  call<Answer>(
    engine: string,
    signal: AbortSignal,
    work: (connection: EngineConnection) => Promise<Answer>,
    takesPlace: boolean,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const run = async (connection: EngineConnection, { status: { load } }: ModelSlot): Promise<void> => {
        const leave = load.add({ paused: false, begun: false });
        try {
          resolve(await work(connection));
        } catch (error) {
          reject(error);
        } finally {
          load.events++;
          leave();
        }
      };
      this.#admit({
        engine,
        ...(takesPlace && { contextTokens: () => 0 }),
        signal,
        run: (connection, slot) => void run(connection, slot),
        refuse: reject,
      });
    });
  }

  #admit(admission: Admission): void {
    const { engine, signal, refuse } = admission;
    const { slots, residency } = this.#parts;
    const slot = slots.get(engine);
    const refusal = this.#refusal(engine, slot);
    if (!slot || refusal) {
      refuse(refusal ?? unknownEngine(engine));
      return;
    }
    if (slot.connection && residency.isOpen(engine)) {
      this.#enter(slot, admission);
      return;
    }
    const sinceMs = performance.now();
    residency.wait(slot, {
      signal,
      ready: () => this.#enter(slot, admission, sinceMs),
      refused: () => refuse(noHealthyEngine(engine)),
      fail: refuse,
    });
  }

  /** Runs it, as soon as the limits of the engine have room for it. `sinceMs`: since when it has waited. */
  #enter(slot: ModelSlot, { contextTokens, signal, run, refuse }: Admission, sinceMs?: number): void {
    let waitsSinceMs = sinceMs;
    const go = (): void => {
      const { connection } = slot;
      // What takes nothing new may still be finishing what it runs.
      const refusal = waitsSinceMs === undefined ? undefined : this.#refusal(slot.name, slot);
      if (refusal || !connection) refuse(refusal ?? noHealthyEngine(slot.name));
      else run(connection, slot, waitsSinceMs === undefined ? 0 : performance.now() - waitsSinceMs);
    };
    if (!contextTokens) {
      go();
      return;
    }
    this.#gate.enter(slot, { contextTokens: contextTokens(slot), signal, go, refuse });
    waitsSinceMs ??= performance.now();
  }

  /** Why a model takes no request and nobody should wait for it. */
  #refusal(engine: string, slot: ModelSlot | undefined): MeshError | undefined {
    if (!slot) return unknownEngine(engine);
    if (this.#parts.stopping.aborted) return this.#parts.stopping.reason as MeshError;
    if (slot.unloadedByHand) return notLoaded(engine);
    const comes = slot.onDemand && slot.phase !== 'failed';
    return slot.connection || comes ? undefined : noHealthyEngine(engine);
  }
}

/** No engine of that name is on this node. */
export function unknownEngine(name: string): MeshError {
  return new MeshError('MODEL_NOT_FOUND', `No engine '${name}' here.`, { metadata: { model: name } });
}

function noHealthyEngine(model: string): MeshError {
  return new MeshError('NO_HEALTHY_ENGINE', 'No healthy backends', { metadata: { model }, retryAfterMs: 1_000 });
}
