import { hostname } from 'node:os';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { Engine } from '../../gen/mesh/inference/v1/engine_pb.ts';
import type { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Generate } from '../shared/transport/generate.ts';
import type { InferenceConfig } from './config.ts';
import { CountedSink } from './counted-sink.ts';
import { engineFor } from './engines/catalogue.ts';
import type { EngineConnection, EngineSetting } from './engines/engine.ts';
import { type Registration, register } from './registration.ts';
import { createRunDirectory } from './run-directory.ts';
import { AttachedEngine } from './supervisor/attached-engine.ts';
import { EngineProcess } from './supervisor/engine-process.ts';
import type { SupervisedEngine } from './supervisor/supervised-engine.ts';

/** What the inference service needs from outside. */
export interface InferenceResources {
  /** The router that is told about this node. Unset: nobody is. */
  readonly registry: Client<typeof RegistryService> | undefined;
  /** Where routers reach this node's InferenceService. Empty: in the router's process. */
  readonly advertisedAddress: string;
  /** Where a private directory for sockets is made. */
  readonly dataDir: string;
  /** The Node.js binary that embedded engines run on. */
  readonly nodePath: string;
  /** Reads one environment variable: the few that engines inherit, and those that entries name. */
  readonly environmentVariable: (name: string) => string | undefined;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The engines of this node. */
export interface InferenceContext {
  /** The node's name. */
  readonly node: string;
  /** Runs a request on the engine that it names. */
  readonly generate: Generate;
  /** Every engine as it is now, in the order of the configuration. */
  engines(): Engine[];
  /**
   * The way to an engine that takes requests.
   *
   * @throws MeshError MODEL_NOT_FOUND, NO_HEALTHY_ENGINE, SHUTTING_DOWN.
   */
  connection(engine: string): EngineConnection;
  /** Calls `listener` with every engine that changes, load aside, until the returned function is called. */
  watch(listener: (engine: Engine) => void): () => void;
  /** Starts the engines and announces the node. */
  start(): void;
  /** Takes nothing new; what runs goes on. */
  drain(): void;
  /** Stops every engine, giving what runs at most `drainMs` (default 0); nothing of them is left afterwards. */
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
  const runDirectory = createRunDirectory(resources.dataDir);
  const listeners = new Set<(engine: Engine) => void>();
  const engines = new Map<string, SupervisedEngine>();
  let registration: Registration | undefined;
  let draining = false;

  const onChange = (engine: Engine): void => {
    registration?.changed();
    for (const listener of listeners) listener(engine);
  };
  const setting: EngineSetting = {
    runDirectory: runDirectory.path,
    nodePath: resources.nodePath,
    gpu: config.devices,
    environmentVariable: resources.environmentVariable,
  };
  for (const entry of config.models) {
    const adapter = engineFor(entry);
    const parts = { entry, adapter, setting, now, log, onChange };
    const engine = adapter.lifecycle === 'started' ? new EngineProcess(parts) : new AttachedEngine(parts);
    engines.set(entry.name, engine);
  }

  /** @throws MeshError MODEL_NOT_FOUND, NO_HEALTHY_ENGINE, SHUTTING_DOWN. */
  function find(name: string): { engine: SupervisedEngine; connection: EngineConnection } {
    const engine = engines.get(name);
    if (!engine) throw new MeshError('MODEL_NOT_FOUND', `No engine '${name}' here.`, { metadata: { model: name } });
    if (draining) throw new MeshError('SHUTTING_DOWN', 'The server is shutting down.', { retryAfterMs: 1_000 });
    const { connection } = engine;
    if (connection) return { engine, connection };
    throw new MeshError('NO_HEALTHY_ENGINE', 'No healthy backends', { metadata: { model: name }, retryAfterMs: 1_000 });
  }

  const list = (): Engine[] => [...engines.values()].map((engine) => engine.status.engine);

  return {
    node,
    generate(request, call, sink) {
      let found: ReturnType<typeof find>;
      try {
        found = find(request.engine);
      } catch (error) {
        sink.fail(error as MeshError);
        return;
      }
      found.connection.generate(request, call, new CountedSink(found.engine.status, sink));
    },
    engines: list,
    connection: (name) => find(name).connection,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start() {
      for (const engine of engines.values()) engine.start();
      const { registry, advertisedAddress: address } = resources;
      if (!registry) return;
      registration = register(registry, () => ({ node, epoch, address, engines: list(), draining }), log);
    },
    drain() {
      draining = true;
      registration?.changed();
    },
    async close(drainMs = 0) {
      draining = true;
      registration?.changed();
      await Promise.all([...engines.values()].map((engine) => engine.stop(drainMs)));
      await registration?.close();
      await runDirectory.remove();
    },
  };
}
