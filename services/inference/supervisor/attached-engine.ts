import { EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineConnection, EngineProbe } from '../engines/engine.ts';
import { drained } from './drained.ts';
import { type EngineFacts, EngineStatus, type Failure } from './engine-status.ts';
import { wrongModel } from './identity.ts';
import { describeProblem, probeLoop } from './probe-loop.ts';
import type { SupervisedEngine, SupervisorParts } from './supervised-engine.ts';

/** So many late answers in a row mean that the server is not merely busy. */
const LATE_LIMIT = 3;

/** A server that somebody else runs: asked how it is, never started or stopped. */
export class AttachedEngine implements SupervisedEngine {
  readonly status: EngineStatus;
  readonly #parts: SupervisorParts;
  readonly #connection: EngineConnection;
  readonly #stopping = new AbortController();
  #probing: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  readonly marked = undefined;
  readonly waitsForRoom = false;
  #lateInARow = 0;
  #failuresInARow = 0;
  #lastCause: FailureCause | undefined;

  /** @throws ConfigError as EngineAdapter.connect. */
  constructor(parts: SupervisorParts) {
    this.#parts = parts;
    this.#connection = parts.adapter.connect(parts.setting, { devices: [], ports: [] });
    this.status = new EngineStatus(parts.entry, parts.adapter, parts.now, parts.onChange);
  }

  get connection(): EngineConnection | undefined {
    return this.status.state === EngineState.READY ? this.#connection : undefined;
  }

  start(): void {
    this.status.become(EngineState.STARTING, { stage: 'connecting' });
    const listener = {
      onProbe: (probe: EngineProbe) => this.#onProbe(probe),
      onFailure: (error: unknown, late: boolean) => this.#onFailure(error, late),
    };
    const probe = (signal: AbortSignal): Promise<EngineProbe> => this.#connection.probe(signal);
    this.#probing = probeLoop(probe, listener, this.#stopping.signal, this.#parts.limits);
  }

  sleep(): void {
    throw new Error('a server elsewhere is not ours to send to sleep');
  }

  wake(): void {
    throw new Error('a server elsewhere is not ours to wake');
  }

  stop(drainMs: number): Promise<void> {
    this.#stopped ??= this.#stop(drainMs);
    return this.#stopped;
  }

  #onProbe(probe: EngineProbe): void {
    const { entry, adapter } = this.#parts;
    const mismatch = wrongModel(adapter, probe);
    if (mismatch) {
      const hint = `The server at ${adapter.address} serves '${mismatch.found}', not '${mismatch.expected}'.`;
      this.#becomeUnhealthy({ cause: FailureCause.WRONG_MODEL, evidence: [], hint });
      return;
    }
    this.#lateInARow = 0;
    this.#failuresInARow = 0;
    const facts: EngineFacts = {
      modelId: probe.modelId ?? this.status.engine.modelId,
      contextTokens: entry.max_model_len ?? probe.contextTokens ?? 0,
    };
    this.status.gauges = probe;
    if (this.status.state === EngineState.READY) this.status.learn(facts);
    else this.status.become(EngineState.READY, facts);
  }

  #onFailure(error: unknown, late: boolean): void {
    this.#lateInARow = late ? this.#lateInARow + 1 : 0;
    if (late && this.status.state === EngineState.READY && this.#lateInARow < LATE_LIMIT) return;
    this.#becomeUnhealthy({
      cause: FailureCause.UNREACHABLE,
      evidence: [describeProblem(error)],
      hint: `Check that the server at ${this.#parts.adapter.address} runs and takes the configured key.`,
    });
  }

  #becomeUnhealthy(failure: Omit<Failure, 'attempts'>): void {
    this.#failuresInARow++;
    if (this.status.state === EngineState.UNHEALTHY && this.#lastCause === failure.cause) return;
    this.#lastCause = failure.cause;
    this.#parts.log.warn({ engine: this.#parts.entry.name, ...failure }, 'engine is not well');
    this.status.become(EngineState.UNHEALTHY, {}, { ...failure, attempts: this.#failuresInARow });
  }

  async #stop(drainMs: number): Promise<void> {
    this.#stopping.abort();
    await this.#probing;
    if (this.status.state === EngineState.PENDING) {
      this.status.become(EngineState.STOPPED);
    } else {
      if (this.status.load.running > 0) {
        if (this.status.state !== EngineState.STARTING) this.status.become(EngineState.DRAINING);
        await drained(this.status.load, drainMs);
      }
      this.status.become(EngineState.STOPPING);
      this.status.become(EngineState.STOPPED);
    }
    await this.#connection.close();
  }
}
