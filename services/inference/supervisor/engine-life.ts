import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { DeviceChange } from '../devices/device-book.ts';
import type { EngineConnection, EngineProbe } from '../engines/engine.ts';
import { drained } from './drained.ts';
import { askToEnd, clearAway } from './ending-process.ts';
import type { EngineStatus, Failure } from './engine-status.ts';
import { type Ending, failureOf } from './failure-cause.ts';
import { HealthWatch } from './health-watch.ts';
import type { EngineLogLine } from './log-lines.ts';
import type { MarkedStart } from './own-processes.ts';
import { sleepUntilWoken } from './sleeping.ts';
import type { StartedEngine } from './start-engine.ts';
import type { Ready, Starting } from './starting.ts';
import type { ProcessSupervisorParts } from './supervised-engine.ts';

/** Somebody asked it to end. */
export interface Stop {
  readonly kind: 'stop';
  /** How long what runs may go on, in milliseconds. */
  readonly drainMs: number;
}

/** How a life ended. */
export type LifeEnd = { readonly kind: 'stopped' } | FailedLife;

/** A life that ended although nobody asked. */
export interface FailedLife {
  readonly kind: 'failed';
  readonly ending: Ending;
  readonly failure: Omit<Failure, 'attempts'>;
  /** How long it had been ready, in milliseconds. Unset: it never was. */
  readonly readyForMs: number | undefined;
}

/** More lines than are kept of one start. */
const ALL_LINES = 1_000_000;

/** One life of an engine's process, from its start until nothing of it is left. */
export class EngineLife {
  readonly #parts: ProcessSupervisorParts;
  readonly #status: EngineStatus;
  readonly #engine: StartedEngine;
  readonly #starting: Starting;
  readonly #deviceLost = Promise.withResolvers<Ending>();
  readonly #leaveDevices: () => void;
  #sleepAsked = Promise.withResolvers<{ readonly kind: 'sleep-asked' }>();
  #wakeAsked = Promise.withResolvers<void>();
  #readyAtMs: number | undefined;
  #lastLineOfStart: EngineLogLine | undefined;

  constructor(parts: ProcessSupervisorParts, status: EngineStatus, engine: StartedEngine, starting: Starting) {
    this.#parts = parts;
    this.#status = status;
    this.#engine = engine;
    this.#starting = starting;
    this.#leaveDevices = parts.devices.onChange((change) => this.#onDeviceChange(change));
    status.learn({ processId: engine.child.processId });
  }

  /** The way to the process, whether it takes requests or not. */
  get connection(): EngineConnection {
    return this.#engine.connection;
  }

  /** By which its processes are found. */
  get marked(): MarkedStart {
    return this.#engine.child;
  }

  /** Lives until the process ends, fails, loses a device or is told to stop; then nothing of it is left. Resolves once. */
  async run(stopAsked: Promise<Stop>): Promise<LifeEnd> {
    const { child, connection } = this.#engine;
    const over = new AbortController();
    const exited = child.exited.then((exit) => ({ kind: 'exit', exit }) as const);
    const lost = Promise.race([exited, stopAsked, this.#deviceLost.promise]);
    let turn = await Promise.race([lost, this.#starting.untilReady(connection, over.signal)]);
    while (turn.kind === 'ready') {
      this.#becomeReady(turn.probe);
      const awake = new AbortController();
      const watch = new HealthWatch(this.#parts, this.#status, connection);
      const next = await Promise.race([lost, watch.untilLost(awake.signal), this.#sleepAsked.promise]);
      awake.abort();
      turn = next.kind === 'sleep-asked' ? await Promise.race([lost, this.#sleepUntilWoken(over.signal)]) : next;
    }
    over.abort();
    return turn.kind === 'stop' ? await this.#stop(turn.drainMs) : await this.#fail(turn);
  }

  /** Sends it to sleep while it is ready. */
  sleep(): void {
    this.#wakeAsked = Promise.withResolvers();
    this.#sleepAsked.resolve({ kind: 'sleep-asked' });
  }

  /** Wakes it while it sleeps. */
  wake(): void {
    this.#wakeAsked.resolve();
  }

  #sleepUntilWoken(signal: AbortSignal): Promise<Ready | Ending> {
    this.#sleepAsked = Promise.withResolvers();
    const wakeAsked = (): Promise<void> => {
      const { promise } = this.#wakeAsked;
      return promise.then(() => {
        this.#wakeAsked = Promise.withResolvers();
      });
    };
    return sleepUntilWoken({ parts: this.#parts, status: this.#status, engine: this.#engine, wakeAsked, signal });
  }

  #onDeviceChange({ kind, what, uuid }: DeviceChange): void {
    if (!this.#engine.booking?.bytes.has(uuid)) return;
    // Whoever follows the log sees what may have gone before a failure.
    this.#parts.engineLog.add(what);
    if (kind === 'gone') this.#deviceLost.resolve({ kind: 'device-lost', problem: what });
  }

  #becomeReady(probe: EngineProbe): void {
    const { entry, log, now, engineLog, adapter } = this.#parts;
    const { deviceKind, contextTokens, maxConcurrency } = this.#starting.learned;
    const facts = {
      modelId: adapter.modelId || (probe.modelId ?? ''),
      deviceKind: deviceKind ?? this.#status.engine.deviceKind,
      contextTokens: contextTokens ?? probe.contextTokens ?? entry.max_model_len ?? 0,
      // The engine's own number is how much runs at a time; more waits in its queue, so only the operator's is a limit.
      maxConcurrency: entry.max_concurrency ?? 0,
    };
    this.#readyAtMs = now();
    this.#lastLineOfStart = this.#engine.log.tail(1)[0];
    this.#status.become(EngineState.READY, { ...facts, capabilities: probe.capabilities ?? adapter.capabilities });
    engineLog.add('ready');
    const { booking } = this.#engine;
    if (booking) void this.#parts.devices.loaded(booking); // Never rejects.
    log.info({ engine: entry.name, ...facts, sequences: maxConcurrency }, 'engine ready');
  }

  async #stop(drainMs: number): Promise<LifeEnd> {
    const { child } = this.#engine;
    if (this.#readyAtMs !== undefined && this.#status.load.running > 0) {
      this.#status.become(EngineState.DRAINING);
      await Promise.race([drained(this.#status.load, drainMs), child.exited]);
    }
    this.#status.become(EngineState.STOPPING);
    // First, for some servers end only when their last client has left, and send a stream nothing more until then.
    await this.#engine.connection.close();
    const { graceMs } = this.#parts.limits;
    const obeyed = await askToEnd(child, graceMs);
    await this.#clearAway();
    this.#parts.engineLog.add(obeyed ? 'stopped' : `stopped: killed, for it had not ended after ${graceMs / 1_000} s`);
    return { kind: 'stopped' };
  }

  async #fail(ending: Ending): Promise<LifeEnd> {
    const readyForMs = this.#readyAtMs === undefined ? undefined : this.#parts.now() - this.#readyAtMs;
    // To clear away takes its time, in which nobody should think that it answers.
    if (readyForMs !== undefined) this.#status.become(EngineState.UNHEALTHY, {}, { ...this.#why(ending), attempts: 1 });
    const left = await this.#clearAway();
    const failure = this.#why(left === undefined ? ending : { kind: 'survived', problem: left });
    this.#parts.engineLog.add(`failed: ${failure.hint}`);
    return { kind: 'failed', ending, failure, readyForMs };
  }

  async #clearAway(): Promise<string | undefined> {
    this.#leaveDevices();
    const left = await clearAway(this.#engine, this.#parts);
    this.#engine.log.end();
    this.#status.gauges = {};
    await this.#engine.connection.close();
    return left;
  }

  /** From what it wrote while it started or, once ready, since then: old lines say nothing about a new failure. */
  #why(ending: Ending): Omit<Failure, 'attempts'> {
    const { log, launch } = this.#engine;
    const lines = log.tail(ALL_LINES);
    const since = this.#lastLineOfStart ? lines.lastIndexOf(this.#lastLineOfStart) + 1 : 0;
    return failureOf(ending, lines.slice(since), launch.failures);
  }
}
