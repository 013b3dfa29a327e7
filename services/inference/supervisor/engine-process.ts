import { setTimeout as delay } from 'node:timers/promises';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineConnection, EngineLaunch, EngineProbe, EngineProgress } from '../engines/engine.ts';
import { drained } from './drained.ts';
import { EngineStatus } from './engine-status.ts';
import { type Ending, failureOf } from './failure.ts';
import { type EngineLogLine, LogLines } from './log-lines.ts';
import { probeLoop } from './probe-loop.ts';
import { StartStalledError, untilReady } from './readiness.ts';
import { type CrashHistory, decideRestart, NO_CRASHES, withCrash } from './restart-policy.ts';
import { type GuardedProcess, spawnGuarded } from './spawn.ts';
import type { SupervisedEngine, SupervisorParts } from './supervised-engine.ts';

/** How long a process may take to end after SIGTERM, in milliseconds. */
const STOP_GRACE_MS = 10_000;

/** How long a start may show no progress, in milliseconds. */
const START_STALL_MS = 300_000;

/** Something that a running engine's loop waits for. */
type Turn = Ending | { readonly kind: 'ready'; readonly probe: EngineProbe } | { readonly kind: 'stop' };

/** One life of the process, from its start until nothing of it is left. */
interface Life {
  readonly ending: Ending | { readonly kind: 'stop' };
  readonly readyForMs: number;
  readonly lines: LogLines;
}

/**
 * An engine that is a process of ours. One loop starts it, waits, starts it again after a crash, and alone writes its
 * state; everybody else asks the loop by aborting `#stopping`.
 */
export class EngineProcess implements SupervisedEngine {
  readonly status: EngineStatus;
  readonly #parts: SupervisorParts;
  readonly #stopping = new AbortController();
  readonly #stopAsked: Promise<{ readonly kind: 'stop' }>;
  #connection: EngineConnection | undefined;
  #loop: Promise<void> | undefined;
  #drainMs = 0;
  #progressedAtMs = 0;
  #learned: EngineProgress = { stage: '' };

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
    this.status = new EngineStatus(parts.entry, parts.adapter, parts.now, parts.onChange);
    this.#stopAsked = new Promise((resolve) => {
      this.#stopping.signal.addEventListener('abort', () => resolve({ kind: 'stop' }));
    });
  }

  get connection(): EngineConnection | undefined {
    return this.#connection;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(drainMs: number): Promise<void> {
    this.#drainMs = drainMs;
    this.#stopping.abort();
    this.start(); // Never started: the loop goes to STOPPED at once.
    await this.#loop;
  }

  async #run(): Promise<void> {
    let history = NO_CRASHES;
    while (!this.#stopping.signal.aborted) {
      const life = await this.#live();
      if (life.ending.kind === 'stop' || this.#stopping.signal.aborted) break;
      history = withCrash(history, this.#parts.now(), life.readyForMs);
      await this.#afterCrash(history, life.ending, life.lines);
    }
    const { state } = this.status;
    if (state === EngineState.READY || state === EngineState.STARTING) this.status.become(EngineState.STOPPING);
    this.status.become(EngineState.STOPPED, { processId: 0 });
  }

  async #live(): Promise<Life> {
    const { adapter, setting, entry, log, now } = this.#parts;
    const connection = adapter.connect(setting, { devices: [], ports: [] });
    const { launch } = connection;
    if (!launch) throw new Error(`engine '${entry.name}' has nothing to start`);
    this.#progressedAtMs = performance.now();
    this.#learned = { stage: '' };
    this.status.become(EngineState.STARTING, { stage: 'starting' });
    const lines = new LogLines(launch.secrets, now, (line) => this.#onLine(line, launch));
    const child = spawnGuarded({
      ...launch,
      environmentVariable: setting.environmentVariable,
      onStdout: lines.reader(false),
      onStderr: lines.reader(true),
    });
    this.status.learn({ processId: child.processId });
    log.info({ engine: entry.name, processId: child.processId }, 'engine starting');

    const over = new AbortController();
    const exited = child.exited.then((exit) => ({ kind: 'exit', exit }) as const);
    let turn: Turn = await Promise.race([exited, this.#stopAsked, this.#untilReady(connection, over.signal)]);
    const readyAtMs = now();
    const wasReady = turn.kind === 'ready';
    if (turn.kind === 'ready') {
      this.#becomeReady(connection);
      void probeLoop((signal) => connection.probe(signal), this.#loadListener(), over.signal);
      turn = await Promise.race([exited, this.#stopAsked]);
    }
    const readyForMs = wasReady ? now() - readyAtMs : 0;
    this.#connection = undefined;
    this.status.waiting = 0;
    over.abort();
    if (turn.kind === 'stop') await this.#end(child);
    // Also after an exit: the process may be gone and its children not.
    await child.sweep();
    await connection.close();
    return { ending: turn as Life['ending'], readyForMs, lines };
  }

  async #untilReady(connection: EngineConnection, signal: AbortSignal): Promise<Turn> {
    try {
      const probe = await untilReady({
        probe: (probeSignal) => connection.probe(probeSignal),
        signal,
        progressedAtMs: () => this.#progressedAtMs,
        stallMs: START_STALL_MS,
      });
      return { kind: 'ready', probe };
    } catch (error) {
      // Aborted: something else has won the race and this result is not looked at.
      return { kind: 'stalled', problem: error instanceof StartStalledError ? error.message : String(error) };
    }
  }

  #becomeReady(connection: EngineConnection): void {
    const { entry, log } = this.#parts;
    const { deviceKind, contextTokens, maxConcurrency } = this.#learned;
    this.#connection = connection;
    this.status.become(EngineState.READY, {
      deviceKind: deviceKind ?? this.status.engine.deviceKind,
      contextTokens: contextTokens ?? entry.max_model_len ?? 0,
      // The engine's own number is how much runs at a time; more waits in its queue, so only the operator's is a limit.
      maxConcurrency: entry.max_concurrency ?? 0,
    });
    log.info({ engine: entry.name, device: deviceKind, contextTokens, sequences: maxConcurrency }, 'engine ready');
  }

  /** A late or failed probe says nothing here: the exit of the process does. */
  #loadListener() {
    return {
      onProbe: (probe: EngineProbe) => {
        this.status.waiting = probe.waiting ?? 0;
      },
      onFailure: () => {},
    };
  }

  #onLine(line: EngineLogLine, launch: EngineLaunch): void {
    this.#parts.log.debug({ engine: this.#parts.entry.name, stderr: line.fromStderr }, line.text);
    const progress = launch.readLine(line.text, line.fromStderr);
    if (!progress || this.status.state !== EngineState.STARTING) return;
    this.#progressedAtMs = performance.now();
    this.#learned = { ...this.#learned, ...progress };
    this.status.learn({
      stage: progress.stage,
      ...(progress.percent === undefined ? {} : { percent: progress.percent }),
    });
  }

  async #end(child: GuardedProcess): Promise<void> {
    if (this.status.running > 0 && this.status.state === EngineState.READY) {
      this.status.become(EngineState.DRAINING);
      await Promise.race([drained(this.status, this.#drainMs), child.exited]);
    }
    this.status.become(EngineState.STOPPING);
    child.signal('SIGTERM');
    const grace = new AbortController();
    await Promise.race([child.exited, delay(STOP_GRACE_MS, undefined, { signal: grace.signal }).catch(() => {})]);
    grace.abort();
  }

  async #afterCrash(history: CrashHistory, ending: Ending, lines: LogLines): Promise<void> {
    const { entry, log, now } = this.#parts;
    const decision = decideRestart(history);
    const failure = failureOf(ending, lines, history.inARow);
    const facts = { processId: 0, restarts: this.status.engine.restarts + 1 };
    log.error({ engine: entry.name, ending, evidence: failure.evidence, next: decision }, 'engine crashed');
    if (decision.kind === 'quarantine') {
      this.status.become(EngineState.QUARANTINED, facts, failure);
      await this.#stopAsked;
      return;
    }
    this.status.become(EngineState.BACKOFF, facts, { ...failure, retryAtMs: now() + decision.delayMs });
    // Rejects only because a stop was asked for, which the loop sees next.
    await delay(decision.delayMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }
}
