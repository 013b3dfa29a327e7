import { create } from '@bufbuild/protobuf';
import {
  type Engine,
  EngineSchema,
  EngineState,
  FailureCauseSchema,
} from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { ModelEntry } from '../engines/model-entry.ts';
import { Load } from './load.ts';
import type { ModelSlot } from './model-slot.ts';
import type { LoadSource } from './model-source.ts';
import type { Residency } from './residency.ts';
import type { Refusal } from './waiting.ts';

/** What loading by hand works with. */
export interface LoadsParts {
  /** The models of the node by name. */
  readonly slots: ReadonlyMap<string, ModelSlot>;
  /** Makes room for a model that is not configured. */
  readonly addSlot: (entry: ModelEntry) => ModelSlot;
  /** Forgets such a model; nothing of it is here. */
  readonly removeSlot: (slot: ModelSlot) => Promise<void>;
  readonly residency: Residency;
  /** Aborts with a MeshError when the node stops. */
  readonly stopping: AbortSignal;
  /** How long streams may go on when their model is unloaded, in milliseconds. */
  readonly drainMs: number;
}

/** Models that are loaded and unloaded by hand. */
export class Loads {
  readonly #parts: LoadsParts;
  readonly #running = new Map<string, Load>();

  constructor(parts: LoadsParts) {
    this.#parts = parts;
  }

  /** A model of the node has changed. */
  changed(slot: ModelSlot): void {
    this.#running.get(slot.name)?.progress(slot.engine);
  }

  /** The name of the model that is meant by a name or by an underlying id; of several the one that came first. */
  nameOf(model: string): string {
    const { slots } = this.#parts;
    if (slots.has(model)) return model;
    return [...slots.values()].find(({ engine }) => engine.modelId === model)?.name ?? model;
  }

  /** The load of a model that is under way, or one that is over because the model takes requests. Unset: it is not here. */
  current(name: string): Load | undefined {
    const running = this.#running.get(name);
    if (running) return running;
    const slot = this.#parts.slots.get(name);
    if (!slot?.connection || !this.#parts.residency.isOpen(name)) return undefined;
    const load = new Load(slot.engine);
    load.end(slot.engine);
    return load;
  }

  /**
   * Loads a model, or joins a load of it that is under way.
   *
   * @throws MeshError CONFLICT while it is being unloaded by hand.
   */
  load(source: LoadSource): Load {
    const current = this.current(source.name);
    if (current) return current;
    const slot = this.#parts.slots.get(source.name);
    if (slot?.unloadedByHand && slot.phase === 'leaving') throw busy(slot, 'is being unloaded');
    const load = new Load(slot?.engine ?? create(EngineSchema, { name: source.name, state: EngineState.PENDING }));
    this.#running.set(source.name, load);
    void this.#run(source, slot, load).finally(() => this.#running.delete(source.name));
    return load;
  }

  /**
   * Unloads a model, or waits for the same end as others.
   *
   * @param model a configured name or an underlying id; empty: the only one that is loaded
   * @returns what is not loaded now
   * @throws MeshError MODEL_NOT_FOUND; CONFLICT while it is loading, for a server elsewhere, or when none is named and not just
   * one is loaded.
   */
  async unload(model: string): Promise<ModelSlot[]> {
    if (this.#running.has(model)) throw stillLoading(model);
    const slots = model === '' ? [this.#onlyLoaded()] : this.#named(model);
    for (const slot of slots) this.#requireUnloadable(slot);
    const error = notLoaded(model);
    await Promise.all(
      slots.map((slot) => {
        slot.setUnloadedByHand(true);
        this.#parts.residency.refuse(slot.name, error);
        return slot.unload(this.#parts.drainMs);
      }),
    );
    return slots;
  }

  async #run(source: LoadSource, known: ModelSlot | undefined, load: Load): Promise<void> {
    const { stopping, addSlot, removeSlot } = this.#parts;
    let slot = known;
    try {
      const draft = known?.engine ?? create(EngineSchema, { name: source.name, state: EngineState.PENDING });
      const entry = await source.entry(stopping, (stage, percent) =>
        load.progress(withProgress(draft, stage, percent)),
      );
      slot ??= addSlot(entry);
      if (slot.isStarted) await this.#prepare(slot, entry);
      load.progress(slot.engine);
      await this.#untilReady(slot);
      load.end(slot.engine);
    } catch (error) {
      load.fail(error);
      // Nobody configured it, so nobody is told to mend it: the next load begins from nothing.
      if (slot && !known && !stopping.aborted) await removeSlot(slot);
    }
  }

  /** What failed is begun anew; what is on its way is let alone. */
  async #prepare(slot: ModelSlot, entry: ModelEntry): Promise<void> {
    const { state } = slot.engine;
    const hasFailed = state === EngineState.QUARANTINED || (state === EngineState.BACKOFF && slot.phase === 'failed');
    if (hasFailed) await slot.unload(0);
    if (slot.phase !== 'absent') return;
    slot.configure(entry);
    this.#parts.residency.forget(slot.name);
  }

  #untilReady(slot: ModelSlot): Promise<void> {
    const { residency, stopping } = this.#parts;
    // A server elsewhere is not ours to start: it is there or it is not.
    if (!slot.isStarted && !slot.connection) return Promise.reject(doesNotCome(slot, 'start-failed'));
    return new Promise((resolve, reject) => {
      residency.wait(slot, {
        signal: stopping,
        ready() {
          // Not before: a load that fails leaves it as it was.
          slot.setUnloadedByHand(false);
          resolve();
        },
        refused: (why) => reject(doesNotCome(slot, why)),
        fail: reject,
      });
    });
  }

  #onlyLoaded(): ModelSlot {
    const loaded = [...this.#parts.slots.values()].filter((slot) => slot.isStarted && slot.phase !== 'absent');
    const [only] = loaded;
    if (only && loaded.length === 1) return only;
    const problem = only ? `several are: ${loaded.map(({ name }) => name).join(', ')}; name one` : 'nothing is loaded';
    throw new MeshError('CONFLICT', `No model is named, and ${problem}.`, { metadata: { kind: 'engine', id: '' } });
  }

  #named(model: string): ModelSlot[] {
    const { slots } = this.#parts;
    const byName = slots.get(model);
    const found = byName ? [byName] : [...slots.values()].filter(({ engine }) => engine.modelId === model);
    if (found.length > 0) return found;
    throw new MeshError('MODEL_NOT_FOUND', `No model '${model}' here.`, { metadata: { model } });
  }

  #requireUnloadable(slot: ModelSlot): void {
    if (!slot.isStarted) throw busy(slot, 'is a server elsewhere, which is not ours to stop');
    const isLoading = slot.phase === 'loading' && !slot.waitsForRoom;
    if (isLoading || this.#running.has(slot.name)) throw stillLoading(slot.name);
  }
}

/** The model was unloaded by hand. */
export function notLoaded(model: string): MeshError {
  return new MeshError('MODEL_NOT_LOADED', 'model not loaded', { metadata: { model } });
}

function withProgress(engine: Engine, stage: string, percent: number | undefined): Engine {
  const { percent: _percent, ...rest } = engine;
  return { ...rest, stage, ...(percent === undefined ? {} : { percent }) };
}

function busy({ name, phase }: ModelSlot, problem: string): MeshError {
  const metadata = { kind: 'engine', id: name, state: phase };
  return new MeshError('CONFLICT', `The model '${name}' ${problem}.`, { metadata });
}

function stillLoading(model: string): MeshError {
  const metadata = { kind: 'engine', id: model, state: 'loading' };
  return new MeshError('CONFLICT', `The model '${model}' is loading.`, { metadata });
}

function doesNotCome({ name, engine: { failure } }: ModelSlot, why: Refusal): MeshError {
  if (why === 'no-room') {
    const message = `No device has room for '${name}' beside the models that stay; ExplainPlacement says why.`;
    return new MeshError('CONFLICT', message, { metadata: { kind: 'engine', id: name, state: 'NO_ROOM' } });
  }
  const cause = FailureCauseSchema.value[failure?.cause ?? 0]?.localName ?? '';
  const message = `The model '${name}' does not run (${cause}): ${failure?.hint ?? ''}`;
  return new MeshError('NO_HEALTHY_ENGINE', message, { metadata: { model: name, cause }, retryAfterMs: 1_000 });
}
