// Supervises one engine as a node does: real processes, leases, ports, log and device book, in a folder of its own.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { type Engine, EngineStateSchema } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { createDeviceBook, type DeviceBook } from '../../services/inference/devices/device-book.ts';
import type { EngineAdapter } from '../../services/inference/engines/engine.ts';
import { type ModelEntry, modelEntrySchema } from '../../services/inference/engines/model-entry.ts';
import { createEngineLog, type EngineLog } from '../../services/inference/supervisor/engine-log.ts';
import { EngineProcess } from '../../services/inference/supervisor/engine-process.ts';
import { createLeases } from '../../services/inference/supervisor/leases.ts';
import { createPlacingQueue } from '../../services/inference/supervisor/placing-queue.ts';
import { createPortPool } from '../../services/inference/supervisor/port-pool.ts';
import { SUPERVISOR_LIMITS, type SupervisorLimits } from '../../services/inference/supervisor/supervisor-limits.ts';

const log = pino({ level: 'silent' });

/** What a test may say of the node around an engine. */
export interface SuperviseOptions {
  readonly name?: string;
  readonly entry?: ModelEntry;
  readonly limits?: Partial<SupervisorLimits>;
  /** Shared by several engines. Unset: a node without devices. */
  readonly devices?: DeviceBook;
  readonly onChange?: () => void;
}

/** An engine under supervision. */
export interface Supervised {
  readonly engine: EngineProcess;
  readonly engineLog: EngineLog;
  /** The folder of the node: `data/` and `run/`. */
  readonly directory: string;
  /** The names of its states so far, repetitions left out. */
  readonly states: readonly string[];
  /** Every change so far. */
  readonly changes: readonly Engine[];
  last(): Engine;
  /** Stops it and removes the folder. */
  close(): Promise<void>;
}

/** A node without devices. */
export function noDevices(): DeviceBook {
  return createDeviceBook({
    devices: 'none',
    environmentVariable: () => undefined,
    ownProcesses: () => new Map<number, string>(),
    log,
  });
}

/** Puts an engine under supervision; it is not started. */
export function supervise(adapter: EngineAdapter, options: SuperviseOptions = {}): Supervised {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  const runDirectory = join(directory, 'run');
  mkdirSync(runDirectory);
  const name = options.name ?? 'chat';
  const entry = options.entry ?? modelEntrySchema.parse({ name, engine: 'llama.cpp', model: 'x.gguf' });
  const engineLog = createEngineLog({ name, directory: join(directory, 'data', 'logs'), now: Date.now, log });
  const states: string[] = [];
  const changes: Engine[] = [];
  const engine = new EngineProcess({
    entry,
    adapter,
    setting: {
      runDirectory,
      nodePath: process.execPath,
      gpu: 'none',
      environmentVariable: (variable) => process.env[variable],
    },
    now: Date.now,
    log,
    limits: { ...SUPERVISOR_LIMITS, ...options.limits },
    devices: options.devices ?? noDevices(),
    queue: createPlacingQueue(),
    ports: createPortPool(),
    leases: createLeases(join(directory, 'data')),
    engineLog,
    onChange(change) {
      options.onChange?.();
      changes.push(change);
      const state = EngineStateSchema.value[change.state]?.localName ?? '';
      if (states.at(-1) !== state) states.push(state);
    },
  });
  return {
    engine,
    engineLog,
    directory,
    states,
    changes,
    last: () => engine.status.engine,
    async close() {
      await engine.stop(0);
      await engineLog.close();
      rmSync(directory, { recursive: true });
    },
  };
}
