import { setTimeout as delay } from 'node:timers/promises';
import { EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { DeviceBook } from '../devices/device-book.ts';
import type { EngineConnection } from '../engines/engine.ts';
import { EngineLife, type FailedLife, type LifeEnd, type Stop } from './engine-life.ts';
import { EngineStatus, type Failure } from './engine-status.ts';
import { type Ending, failureOf } from './failure-cause.ts';
import type { MarkedStart } from './own-processes.ts';
import { giveBack, type NoRoom, notStarted, type Placing, placeEngine } from './placing.ts';
import { type CrashHistory, decideRestart, delayAfter, NO_CRASHES, withCrash } from './restart-policy.ts';
import { startEngine } from './start-engine.ts';
import { Starting } from './starting.ts';
import type { ProcessSupervisorParts, SupervisedEngine } from './supervised-engine.ts';

/** How long to wait before devices are asked again that should have room by now, in milliseconds. */
const HOPE_PAUSE_MS = 1_000;

/** What is no longer true of an engine without a process. */
const NOWHERE = { processId: 0, devices: [] };

/**
 * An engine that is a process of ours. One loop places it, starts it, waits, starts it again after a crash, and alone
 * writes its state, with the parts of the life that it waits for; everybody else asks the loop to stop.
 */
export class EngineProcess implements SupervisedEngine {
  readonly status: EngineStatus;
  readonly #parts: ProcessSupervisorParts;
  readonly #stopping = new AbortController();
  readonly #stopAsked = Promise.withResolvers<Stop>();
  #life: EngineLife | undefined;
  #loop: Promise<void> | undefined;
  #waitsForRoom = false;
  #roomHoped = Promise.withResolvers<void>();

  constructor(parts: ProcessSupervisorParts) {
    this.#parts = parts;
    this.status = new EngineStatus(parts.entry, parts.adapter, parts.now, parts.onChange);
  }

  get connection(): EngineConnection | undefined {
    return this.status.state === EngineState.READY ? this.#life?.connection : undefined;
  }

  get marked(): MarkedStart | undefined {
    return this.#life?.marked;
  }

  get waitsForRoom(): boolean {
    return this.#waitsForRoom;
  }

  start(): void {
    this.#loop ??= this.#run().catch((error: unknown) => {
      this.#parts.log.fatal({ engine: this.#parts.entry.name, err: error }, 'the supervisor of an engine failed');
    });
  }

  sleep(): void {
    this.#life?.sleep();
  }

  wake(): void {
    if (this.#waitsForRoom) this.#roomHoped.resolve();
    else this.#life?.wake();
  }

  async stop(drainMs: number): Promise<void> {
    this.#stopAsked.resolve({ kind: 'stop', drainMs });
    this.#stopping.abort();
    this.start(); // Never started: the loop goes to STOPPED at once.
    await this.#loop;
  }

  async #run(): Promise<void> {
    let crashes = NO_CRASHES;
    let refusals = 0;
    while (!this.#stopping.signal.aborted) {
      // Listening before asking: what makes room in between is not missed.
      const room = Promise.withResolvers<void>();
      const forget = onRoom(this.#parts.devices, room.resolve);
      const end = await this.#turn();
      this.#life = undefined;
      refusals = end.kind === 'no-room' ? refusals + 1 : 0;
      if (this.#stopping.signal.aborted) {
        // Nothing more to do here.
      } else if (end.kind === 'no-room') {
        await this.#waitForRoom(end.failure, refusals, room.promise);
      } else if (end.kind === 'failed') {
        crashes = withCrash(crashes, this.#parts.now(), end.readyForMs);
        await this.#afterCrash(crashes, end);
      }
      forget();
    }
    this.#becomeStopped();
  }

  /** Places the engine and lives one life of it. */
  async #turn(): Promise<LifeEnd | NoRoom> {
    const placing = await this.#parts.queue.inTurn(() => placeEngine(this.#parts));
    if (placing.kind === 'no-room') return placing;
    this.#waitsForRoom = false;
    if (placing.kind !== 'placed') return failedBefore(placing);
    if (this.#stopping.signal.aborted) {
      giveBack(placing, this.#parts);
      return { kind: 'stopped' };
    }
    const { devices } = placing.place;
    const deviceKind = devices.length > 0 ? 'cuda' : this.#parts.adapter.deviceKind;
    this.status.become(EngineState.PLACED, { devices: [...devices], deviceKind });
    return await this.#live(placing);
  }

  async #live(placing: Placing): Promise<LifeEnd> {
    this.status.become(EngineState.STARTING, { stage: 'starting' });
    const starting = new Starting(this.#parts, this.status);
    try {
      const engine = await startEngine(this.#parts, placing, (line, launch) => starting.onLine(line, launch));
      this.#life = new EngineLife(this.#parts, this.status, engine, starting);
    } catch (error) {
      giveBack(placing, this.#parts);
      return failedBefore(notStarted(FailureCause.BAD_FLAG, error));
    }
    return await this.#life.run(this.#stopAsked.promise);
  }

  async #waitForRoom(failure: Omit<Failure, 'attempts'>, refusals: number, room: Promise<void>): Promise<void> {
    const { entry, log, now, limits } = this.#parts;
    const delayMs = delayAfter(refusals, limits.restart);
    log.warn({ engine: entry.name, why: failure.hint, retryMs: delayMs }, 'no room for the engine');
    this.#waitsForRoom = true;
    this.status.become(EngineState.BACKOFF, NOWHERE, { ...failure, attempts: refusals, retryAtMs: now() + delayMs });
    this.#roomHoped = Promise.withResolvers();
    // Whoever hopes for room may be wrong, and each look at the devices takes its time.
    const hoped = this.#roomHoped.promise.then(() => this.#pause(HOPE_PAUSE_MS));
    await Promise.race([this.#pause(delayMs), room, hoped]);
  }

  async #afterCrash(crashes: CrashHistory, { ending, failure }: FailedLife): Promise<void> {
    const { entry, log, now, limits } = this.#parts;
    const next = decideRestart(crashes, limits.restart);
    const facts = { ...NOWHERE, restarts: this.status.engine.restarts + 1 };
    const attempts = crashes.inARow;
    log.error({ engine: entry.name, ending, ...failure, next }, 'engine failed');
    if (next.kind === 'quarantine') {
      this.status.become(EngineState.QUARANTINED, facts, { ...failure, attempts });
      await this.#stopAsked.promise;
      return;
    }
    this.status.become(EngineState.BACKOFF, facts, { ...failure, attempts, retryAtMs: now() + next.delayMs });
    await this.#pause(next.delayMs);
  }

  #becomeStopped(): void {
    // Told to stop while it failed.
    const { state } = this.status;
    if (state === EngineState.STARTING || state === EngineState.UNHEALTHY) this.status.become(EngineState.STOPPING);
    this.status.become(EngineState.STOPPED, NOWHERE);
  }

  /** Waits; a stop ends it, which the loop sees next. */
  async #pause(delayMs: number): Promise<void> {
    await delay(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }
}

/** Calls `listener` when devices may have become free until the returned function is called. */
function onRoom(devices: DeviceBook, listener: () => void): () => void {
  const leave = [
    devices.onRelease(listener),
    devices.onChange(({ kind }) => {
      if (kind === 'appeared' || kind === 'readable') listener();
    }),
  ];
  return () => {
    for (const one of leave) one();
  };
}

function failedBefore(ending: Ending): FailedLife {
  return { kind: 'failed', ending, failure: failureOf(ending, [], []), readyForMs: undefined };
}
