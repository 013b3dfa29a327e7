import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Generate } from '../shared/transport/generate.ts';
import { CountedSink } from './counted-sink.ts';
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
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Runs on the engine; counts what it runs before it returns, so that the engine is not taken for idle. */
  readonly run: (connection: EngineConnection, slot: ModelSlot, waitedMs: number) => void;
  readonly refuse: (error: MeshError) => void;
}

/** The way of requests to the engines of this node, at once or when their model has come. */
export class EngineCalls {
  readonly #parts: EngineCallsParts;

  constructor(parts: EngineCallsParts) {
    this.#parts = parts;
  }

  readonly generate: Generate = (request, call, sink) => {
    this.#admit({
      engine: request.engine,
      signal: call.signal,
      run(connection, { status }, waitedMs) {
        const told = waitedMs > 0 ? new WaitedSink(sink, waitedMs) : sink;
        connection.generate(request, call, new CountedSink(status.load, call.flow, told));
      },
      refuse: (error) => sink.fail(error),
    });
  };

  /** As InferenceContext.call. */
  call<Answer>(
    engine: string,
    signal: AbortSignal,
    work: (connection: EngineConnection) => Promise<Answer>,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const run = async (connection: EngineConnection, { status: { load } }: ModelSlot): Promise<void> => {
        const running = { paused: false, begun: false };
        load.add(running);
        try {
          resolve(await work(connection));
        } catch (error) {
          reject(error);
        } finally {
          load.events++;
          load.remove(running);
        }
      };
      this.#admit({ engine, signal, run: (connection, slot) => void run(connection, slot), refuse: reject });
    });
  }

  #admit({ engine, signal, run, refuse }: Admission): void {
    const { slots, residency } = this.#parts;
    const slot = slots.get(engine);
    const refusal = this.#refusal(engine, slot);
    if (!slot || refusal) {
      refuse(refusal ?? unknownEngine(engine));
      return;
    }
    const { connection } = slot;
    if (connection && residency.isOpen(engine)) {
      run(connection, slot, 0);
      return;
    }
    const sinceMs = performance.now();
    residency.wait(slot, {
      signal,
      ready() {
        const arrived = slot.connection;
        if (arrived) run(arrived, slot, performance.now() - sinceMs);
        else refuse(noHealthyEngine(engine));
      },
      refused: () => refuse(noHealthyEngine(engine)),
      fail: refuse,
    });
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
