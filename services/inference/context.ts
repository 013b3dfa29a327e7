import { hostname } from 'node:os';
import type { Engine } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Generate } from '../shared/transport/generate.ts';
import type { InferenceConfig } from './config.ts';
import { CountedSink } from './counted-sink.ts';
import type { DeviceBook } from './devices/device-book.ts';
import type { DeviceDemand, EngineConnection } from './engines/engine.ts';
import { createNodeEngines, type NodeEngine } from './node-engines.ts';
import { type Registration, register } from './registration.ts';
import type { InferenceResources } from './resources.ts';
import type { EngineLog } from './supervisor/engine-log.ts';
import type { EngineStatus } from './supervisor/engine-status.ts';

/** The engines of this node. */
export interface InferenceContext {
  /** The node's name. */
  readonly node: string;
  /** Runs a request on the engine that it names. */
  readonly generate: Generate;
  /** Every engine as it is now, in the order of the configuration. */
  engines(): Engine[];
  /**
   * A call besides generations on an engine that takes requests, e.g. to embed. It counts as work of the engine: a stop waits for
   * it, and health knows that an answer is owed.
   *
   * @throws MeshError MODEL_NOT_FOUND, NO_HEALTHY_ENGINE, SHUTTING_DOWN; what `work` throws.
   */
  call<Answer>(engine: string, work: (connection: EngineConnection) => Promise<Answer>): Promise<Answer>;
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
  const epoch = BigInt(now());
  const listeners = new Map<(engine: Engine) => void, (() => void) | undefined>();
  let registration: Registration | undefined;
  let draining = false;
  let stopped = false;
  let closing: Promise<void> | undefined;

  const nodeEngines = createNodeEngines(config, resources, (engine) => {
    registration?.changed();
    for (const listener of listeners.keys()) listener(engine);
  });
  const { engines, devices } = nodeEngines;

  /** @throws MeshError MODEL_NOT_FOUND. */
  function known(name: string): NodeEngine {
    const engine = engines.get(name);
    if (engine) return engine;
    throw new MeshError('MODEL_NOT_FOUND', `No engine '${name}' here.`, { metadata: { model: name } });
  }

  /** @throws MeshError MODEL_NOT_FOUND, NO_HEALTHY_ENGINE, SHUTTING_DOWN. */
  function find(name: string): { status: EngineStatus; connection: EngineConnection } {
    const { supervised } = known(name);
    if (draining) throw new MeshError('SHUTTING_DOWN', 'The server is shutting down.', { retryAfterMs: 1_000 });
    const { connection, status } = supervised;
    if (connection) return { status, connection };
    throw new MeshError('NO_HEALTHY_ENGINE', 'No healthy backends', { metadata: { model: name }, retryAfterMs: 1_000 });
  }

  async function close(drainMs: number): Promise<void> {
    draining = true;
    registration?.changed();
    await nodeEngines.stop(drainMs);
    stopped = true;
    for (const onClose of listeners.values()) onClose?.();
    await registration?.close();
    await nodeEngines.close();
  }

  const list = (): Engine[] => [...engines.values()].map(({ supervised }) => supervised.status.engine);

  return {
    node,
    devices,
    generate(request, call, sink) {
      let found: ReturnType<typeof find>;
      try {
        found = find(request.engine);
      } catch (error) {
        sink.fail(error as MeshError);
        return;
      }
      found.connection.generate(request, call, new CountedSink(found.status.load, call.flow, sink));
    },
    engines: list,
    async call(name, work) {
      const { status, connection } = find(name);
      const running = { paused: false, begun: false };
      status.load.add(running);
      try {
        return await work(connection);
      } finally {
        status.load.events++;
        status.load.remove(running);
      }
    },
    demand: async (name) => await known(name).adapter.demand(),
    engineLog: (name) => known(name).log,
    watch(listener, onClose) {
      listeners.set(listener, onClose);
      if (stopped) onClose?.();
      return () => listeners.delete(listener);
    },
    start() {
      nodeEngines.start();
      const { registry, advertisedAddress: address } = resources;
      if (!registry) return;
      registration = register(registry, () => ({ node, epoch, address, engines: list(), draining }), log);
    },
    drain() {
      draining = true;
      registration?.changed();
    },
    close(drainMs = 0) {
      closing ??= close(drainMs);
      return closing;
    },
  };
}
