import { hostname } from 'node:os';
import type { Engine } from '../../gen/mesh/inference/v1/engine_pb.ts';
import type { LoadModelRequest } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Generate } from '../shared/transport/generate.ts';
import { Announcement } from './announcement.ts';
import type { InferenceConfig } from './config.ts';
import type { DeviceBook } from './devices/device-book.ts';
import { EngineCalls, unknownEngine } from './engine-calls.ts';
import { declareInferenceMetrics } from './engine-metrics/declare-metrics.ts';
import type { DeviceDemand, EngineConnection } from './engines/engine.ts';
import { createNodeEngines } from './node-engines.ts';
import { Loads } from './residency/loads.ts';
import type { ModelSlot } from './residency/model-slot.ts';
import { modelSource } from './residency/model-source.ts';
import { Residency } from './residency/residency.ts';
import type { InferenceResources } from './resources.ts';
import type { EngineLog } from './supervisor/engine-log.ts';
import { modelsDirectoryOf } from './weights/model-directory.ts';

/** What a timer of the platform takes, in milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** How long streams may go on when their model is unloaded, unless told, in milliseconds. */
const UNLOAD_DRAIN_MS = 30_000;

/** The engines of this node. */
export interface InferenceContext {
  /** The node's name. */
  readonly node: string;
  /** Runs a request on the engine that it names, within its limits; waits for one that comes on demand. */
  readonly generate: Generate;
  /** Every engine as it is now, in the order of the configuration; then those that were loaded by hand. */
  engines(): Engine[];
  /**
   * A call besides generations on an engine that takes requests, e.g. to embed; waits for one that comes on demand. It counts as
   * work of the engine: a stop waits for it, and health knows that an answer is owed. With `takesPlace` the limits of the engine
   * hold for it too.
   *
   * @throws MeshError MODEL_NOT_FOUND, MODEL_NOT_LOADED, NO_HEALTHY_ENGINE, ENGINE_BUSY, SHUTTING_DOWN; the signal's reason; what
   * `work` throws.
   */
  call<Answer>(
    engine: string,
    signal: AbortSignal,
    work: (connection: EngineConnection) => Promise<Answer>,
    takesPlace?: boolean,
  ): Promise<Answer>;
  /**
   * Loads a model and yields the engine at every change, READY last. Leaving does not undo the load.
   *
   * @throws MeshError INVALID_FIELD, CONFLICT, NO_HEALTHY_ENGINE, SHUTTING_DOWN.
   */
  load(request: LoadModelRequest, signal: AbortSignal): AsyncIterable<Engine>;
  /**
   * Unloads a model by hand: it refuses requests until it is loaded again. Empty: the only one that is loaded.
   *
   * @returns what is not loaded now
   * @throws MeshError MODEL_NOT_FOUND, CONFLICT.
   */
  unload(model: string): Promise<Engine[]>;
  /** Where callers may name GGUF files. */
  readonly modelsDirectory: string;
  /** Who may use how much of the node's devices. */
  readonly devices: DeviceBook;
  /**
   * What a configured engine needs of devices. Undefined: nothing.
   *
   * @throws MeshError MODEL_NOT_FOUND; Error when the model's files cannot be read.
   */
  demand(engine: string): Promise<DeviceDemand | undefined>;
  /**
   * The log of an engine; that of a server elsewhere stays empty.
   *
   * @throws MeshError MODEL_NOT_FOUND.
   */
  engineLog(engine: string): EngineLog;
  /**
   * Calls `listener` with every engine that changes, load aside, until the returned function is called, and `onClose` when
   * the engines have stopped and none will change.
   */
  watch(listener: (engine: Engine) => void, onClose?: () => void): () => void;
  /** Starts the engines and announces the node. */
  start(): void;
  /** Takes nothing new; what runs goes on. */
  drain(): void;
  /**
   * Stops every engine, giving what runs at most `drainMs` (default 0); nothing of them is left afterwards. A second call
   * waits for the first.
   */
  close(drainMs?: number): Promise<void>;
}

/**
 * Builds the inference service. Nothing runs before `start`.
 *
 * @throws ConfigError when an entry names an environment variable that is not set.
 */
export function createInferenceContext(config: InferenceConfig, resources: InferenceResources): InferenceContext {
  const { log, now } = resources;
  const node = config.node ?? hostname();
  const listeners = new Map<(engine: Engine) => void, (() => void) | undefined>();
  const stopping = new AbortController();
  const announcement = new Announcement({
    node,
    epoch: BigInt(now()),
    routers: resources.routers,
    engines: () => list(),
    isStopping: () => stopping.signal.aborted,
    log,
  });
  let stopped = false;
  let closing: Promise<void> | undefined;

  const nodeEngines = createNodeEngines(config, resources, {
    onChange(slot) {
      announcement.changed();
      for (const listener of listeners.keys()) listener(slot.engine);
      loads.changed(slot);
      residency.changed();
    },
    onIdle: () => residency.changed(),
  });
  const { slots, devices } = nodeEngines;
  const residency = new Residency({
    slots,
    rules: { minStayMs: config.min_stay_seconds * 1_000, turnMs: config.turn_seconds * 1_000 },
    devices,
    clock: {
      nowMs: () => performance.now(),
      after(delayMs, call) {
        // A longer one would fire at once.
        const timer = setTimeout(call, Math.min(delayMs, LONGEST_TIMER_MS));
        return () => clearTimeout(timer);
      },
    },
    log,
  });
  devices.onRelease(() => residency.changed());
  const calls = new EngineCalls({ slots, residency, stopping: stopping.signal });
  const loads = new Loads({
    slots,
    addSlot: (entry) => nodeEngines.add(entry),
    async removeSlot(slot) {
      await nodeEngines.remove(slot);
      announcement.changed();
    },
    residency,
    stopping: stopping.signal,
    drainMs: resources.unloadDrainMs ?? UNLOAD_DRAIN_MS,
  });

  /** @throws MeshError MODEL_NOT_FOUND. */
  function known(name: string): ModelSlot {
    const slot = slots.get(name);
    if (slot) return slot;
    throw unknownEngine(name);
  }

  const list = (): Engine[] => [...slots.values()].map(({ engine }) => engine);
  const { metrics } = resources;
  const connections = () => [...slots.values()].map(({ name, connection }) => ({ name, connection }));
  if (metrics) declareInferenceMetrics(metrics, { node, devices, engines: list, connections });
  const drain = (): void => {
    if (stopping.signal.aborted) return;
    const error = new MeshError('SHUTTING_DOWN', 'The server is shutting down.', { retryAfterMs: 1_000 });
    stopping.abort(error);
    residency.stop(error);
    announcement.changed();
  };

  async function close(drainMs: number): Promise<void> {
    drain();
    await nodeEngines.stop(drainMs);
    stopped = true;
    for (const onClose of listeners.values()) onClose?.();
    await announcement.close();
    await nodeEngines.close();
  }

  return {
    node,
    modelsDirectory: modelsDirectoryOf(resources.dataDir),
    devices,
    generate: calls.generate,
    engines: list,
    call: (name, signal, work, takesPlace = false) => calls.call(name, signal, work, takesPlace),
    async *load(request, signal) {
      stopping.signal.throwIfAborted();
      const entryOf = (name: string) => config.models.find((entry) => entry.name === name);
      // What is here needs nothing of what it once came from.
      const named = { ...request, model: loads.nameOf(request.model) };
      const load = loads.current(named.model) ?? loads.load(await modelSource(named, { entryOf, ...resources }));
      yield* load.follow(signal);
    },
    unload: async (model) => (await loads.unload(model)).map(({ engine }) => engine),
    demand: async (name) => await known(name).demand(),
    engineLog: (name) => known(name).log,
    watch(listener, onClose) {
      listeners.set(listener, onClose);
      if (stopped) onClose?.();
      return () => listeners.delete(listener);
    },
    start() {
      void nodeEngines.start().then(() => residency.start());
      announcement.start();
    },
    drain,
    close(drainMs = 0) {
      closing ??= close(drainMs);
      return closing;
    },
  };
}
