import type { EngineConnection, EngineLaunch } from '../engines/engine.ts';
import type { StartedProcess } from './ending-process.ts';
import type { StartLog } from './engine-log.ts';
import type { EngineLease } from './leases.ts';
import type { EngineLogLine } from './log-lines.ts';
import type { Placing } from './placing.ts';
import { startTimeOf } from './process-table.ts';
import { spawnGuarded } from './spawn.ts';
import type { ProcessSupervisorParts } from './supervised-engine.ts';

/** An engine whose process has been started, and the way to it. */
export interface StartedEngine extends StartedProcess {
  readonly connection: EngineConnection;
  readonly launch: EngineLaunch;
  readonly log: StartLog;
}

/**
 * Starts the process of an engine at its place and writes it down.
 *
 * @param onLine gets every line of its output
 * @throws ConfigError and whatever else keeps a process from being started; then there is none.
 */
export async function startEngine(
  parts: ProcessSupervisorParts,
  { place, booking }: Placing,
  onLine: (line: EngineLogLine, launch: EngineLaunch) => void,
): Promise<StartedEngine> {
  const { adapter, setting, entry, engineLog } = parts;
  const connection = adapter.connect(setting, place);
  const { launch } = connection;
  try {
    if (!launch) throw new Error(`The engine '${entry.name}' has no program to start.`);
    const log = engineLog.forStart(launch.secrets, (line) => onLine(line, launch));
    const child = spawnGuarded({
      ...launch,
      environmentVariable: setting.environmentVariable,
      onStdout: log.reader(false),
      onStderr: log.reader(true),
      mark: booking?.mark,
    });
    const startTime = startTimeOf(child.processId) ?? '';
    const memory = Object.fromEntries(booking?.bytes ?? []);
    const { mark, processId } = child;
    const { ports, devices } = place;
    writeDown({ engine: entry.name, mark, processId, startTime, ports, devices, memory }, parts);
    return { connection, launch, log, child, startTime, booking, ports };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

function writeDown(lease: EngineLease, { engineLog, leases, log }: ProcessSupervisorParts): void {
  const { engine, processId, ports, devices } = lease;
  engineLog.add(`started: process ${processId}`);
  log.info({ engine, processId, devices, ports }, 'engine starting');
  try {
    leases.record(lease);
  } catch (error) {
    // The guard kills it with us all the same; a lease is for what even the guard misses.
    log.error({ engine, err: error }, 'the lease of an engine could not be written');
  }
}
