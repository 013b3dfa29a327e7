import { join } from 'node:path';
import type { Engine } from '../../gen/mesh/inference/v1/engine_pb.ts';
import type { InferenceConfig } from './config.ts';
import { createDeviceBook, type DeviceBook } from './devices/device-book.ts';
import { engineFor } from './engines/catalogue.ts';
import type { EngineAdapter, EngineSetting } from './engines/engine.ts';
import type { ModelEntry } from './engines/model-entry.ts';
import type { InferenceResources } from './resources.ts';
import { createRunDirectory } from './run-directory.ts';
import { AttachedEngine } from './supervisor/attached-engine.ts';
import { keepApart } from './supervisor/earlier-engines.ts';
import { createEngineLog, type EngineLog } from './supervisor/engine-log.ts';
import { EngineProcess } from './supervisor/engine-process.ts';
import { createLeases } from './supervisor/leases.ts';
import { OwnProcesses } from './supervisor/own-processes.ts';
import { createPlacingQueue } from './supervisor/placing-queue.ts';
import { createPortPool } from './supervisor/port-pool.ts';
import type { SupervisedEngine } from './supervisor/supervised-engine.ts';
import { SUPERVISOR_LIMITS } from './supervisor/supervisor-limits.ts';

/** One engine of this node and what is its own. */
export interface NodeEngine {
  readonly adapter: EngineAdapter;
  readonly supervised: SupervisedEngine;
  readonly log: EngineLog;
}

/** The engines of this node and what they share. */
export interface NodeEngines {
  /** By name, in the order of the configuration. */
  readonly engines: ReadonlyMap<string, NodeEngine>;
  readonly devices: DeviceBook;
  /** Reaps what a killed predecessor left, then starts the engines. */
  start(): void;
  /** Stops every engine; nothing of them is left afterwards. */
  stop(drainMs: number): Promise<void>;
  /** Gives back the rest. After `stop`. */
  close(): Promise<void>;
}

/**
 * Makes the engines of the configuration. Nothing runs before `start`.
 *
 * @throws ConfigError when an entry of a server elsewhere names an environment variable that is not set.
 */
export function createNodeEngines(
  config: InferenceConfig,
  resources: InferenceResources,
  onChange: (engine: Engine) => void,
): NodeEngines {
  const { log, now, dataDir, environmentVariable, nodePath } = resources;
  const runDirectory = createRunDirectory(dataDir);
  const leases = createLeases(dataDir);
  const ports = createPortPool();
  const engines = new Map<string, NodeEngine>();
  const supervised = (): SupervisedEngine[] => [...engines.values()].map((engine) => engine.supervised);
  const own = new OwnProcesses(
    () => supervised().flatMap(({ marked }) => marked ?? []),
    () => devices.marks,
  );
  const devices: DeviceBook = createDeviceBook({
    devices: config.devices,
    environmentVariable,
    log,
    ownProcesses: () => own.find(),
  });
  const shared = {
    setting: {
      runDirectory: runDirectory.path,
      nodePath,
      gpu: config.devices === 'none' ? 'none' : 'auto',
      environmentVariable,
    } satisfies EngineSetting,
    now,
    log,
    limits: { ...SUPERVISOR_LIMITS, ...resources.limits },
    devices,
    ports,
    leases,
    queue: createPlacingQueue(),
    onChange(engine: Engine) {
      own.note();
      onChange(engine);
    },
  };
  for (const entry of config.models) {
    const adapter = engineFor(entry);
    const engineLog = createEngineLog({ name: entry.name, directory: join(dataDir, 'logs', 'engines'), now, log });
    const parts = { ...shared, entry, adapter, engineLog };
    const engine = adapter.lifecycle === 'started' ? new EngineProcess(parts) : new AttachedEngine(parts);
    engines.set(entry.name, { adapter, supervised: engine, log: engineLog });
  }

  let stopping = false;
  let began: Promise<void> | undefined;

  async function begin(): Promise<void> {
    try {
      await keepApart(await leases.reconcile(log), { devices, ports });
    } catch (error) {
      log.error({ err: error }, 'what earlier engines left could not be looked for; their devices may be busy');
    }
    if (stopping) return;
    devices.start();
    for (const name of startOrder(config.models)) engines.get(name)?.supervised.start();
  }

  return {
    engines,
    devices,
    start() {
      began ??= begin();
    },
    async stop(drainMs) {
      stopping = true;
      await began;
      await Promise.all(supervised().map((engine) => engine.stop(drainMs)));
    },
    async close() {
      await devices.close();
      await Promise.all([...engines.values()].map((engine) => engine.log.close()));
      await runDirectory.remove();
    },
  };
}

/** Those that name their devices first, before one that takes any takes theirs; else as configured. */
function startOrder(models: readonly ModelEntry[]): string[] {
  const namesDevices = (entry: ModelEntry): boolean => 'devices' in entry && entry.devices !== undefined;
  return [...models]
    .sort((one, other) => Number(namesDevices(other)) - Number(namesDevices(one)))
    .map(({ name }) => name);
}
