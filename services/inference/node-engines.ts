import { join } from 'node:path';
import type { InferenceConfig } from './config.ts';
import { createDeviceBook, type DeviceBook } from './devices/device-book.ts';
import { openVramLedger } from './devices/vram-ledger.ts';
import type { EngineSetting } from './engines/engine.ts';
import type { ModelEntry } from './engines/model-entry.ts';
import { ModelSlot } from './residency/model-slot.ts';
import type { InferenceResources } from './resources.ts';
import { createRunDirectory } from './run-directory.ts';
import { AttachedEngine } from './supervisor/attached-engine.ts';
import { keepApart } from './supervisor/earlier-engines.ts';
import { createEngineLog } from './supervisor/engine-log.ts';
import { EngineProcess } from './supervisor/engine-process.ts';
import { createLeases } from './supervisor/leases.ts';
import { OwnProcesses } from './supervisor/own-processes.ts';
import { createPlacingQueue } from './supervisor/placing-queue.ts';
import { createPortPool } from './supervisor/port-pool.ts';
import { SUPERVISOR_LIMITS } from './supervisor/supervisor-limits.ts';

/** Who is told about the engines of a node. */
export interface NodeEnginesListener {
  /** A model has changed, load aside. */
  onChange(slot: ModelSlot): void;
  /** A model runs nothing any more, or nothing of it is left. */
  onIdle(slot: ModelSlot): void;
}

/** The engines of this node and what they share. */
export interface NodeEngines {
  /** By name, in the order of the configuration; then those that were added. */
  readonly slots: ReadonlyMap<string, ModelSlot>;
  readonly devices: DeviceBook;
  /** Makes room for a model that is not configured; nothing is loaded yet. */
  add(entry: ModelEntry): ModelSlot;
  /** Forgets a model that was added, after stopping what is left of it. */
  remove(slot: ModelSlot): Promise<void>;
  /**
   * Reaps what a killed predecessor left, then starts the engines, those that come on demand aside. Resolves when they have
   * been told to start; never rejects.
   */
  start(): Promise<void>;
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
  listener: NodeEnginesListener,
): NodeEngines {
  const { log, now, dataDir, environmentVariable, nodePath } = resources;
  const runDirectory = createRunDirectory(dataDir);
  const leases = createLeases(dataDir);
  const ports = createPortPool();
  const slots = new Map<string, ModelSlot>();
  const own = new OwnProcesses(
    () => [...slots.values()].flatMap(({ marked }) => marked ?? []),
    () => devices.marks,
  );
  const devices: DeviceBook = createDeviceBook({
    devices: config.devices,
    environmentVariable,
    log,
    ownProcesses: () => own.find(),
    vramLedger: openVramLedger({ dataDir, now, log }),
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
  };

  function add(entry: ModelEntry): ModelSlot {
    const engineLog = createEngineLog({ name: entry.name, directory: join(dataDir, 'logs', 'engines'), now, log });
    const slot = new ModelSlot({
      entry,
      log: engineLog,
      supervise(loaded, adapter, onChange) {
        const parts = { ...shared, entry: loaded, adapter, engineLog, onChange };
        return adapter.lifecycle === 'started' ? new EngineProcess(parts) : new AttachedEngine(parts);
      },
      onChange(changed) {
        own.note();
        listener.onChange(changed);
      },
      onIdle: (idle) => listener.onIdle(idle),
      clockMs: () => performance.now(),
    });
    slots.set(entry.name, slot);
    return slot;
  }
  for (const entry of config.models) add(entry);

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
    for (const name of startOrder(config.models)) {
      const slot = slots.get(name);
      if (slot?.onDemand) void slot.unload(0);
      else slot?.load();
    }
  }

  return {
    slots,
    devices,
    add,
    async remove(slot) {
      await slot.unload(0);
      slots.delete(slot.name);
      await slot.log.close();
    },
    start() {
      began ??= begin();
      return began;
    },
    async stop(drainMs) {
      stopping = true;
      await began;
      await Promise.all([...slots.values()].map((slot) => slot.unload(drainMs)));
    },
    async close() {
      await devices.close();
      await Promise.all([...slots.values()].map((slot) => slot.log.close()));
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
