import { EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineConnection, EngineProbe } from '../engines/engine.ts';
import { drained } from './drained.ts';
import { type EngineFacts, EngineStatus, type Failure } from './engine-status.ts';
import { unknownSince } from './liveness.ts';
import { type Finding, watchLiveness } from './liveness-watch.ts';
import { describeProblem } from './probe-loop.ts';
import type { SupervisedEngine, SupervisorParts } from './supervised-engine.ts';

/**
 * A server that somebody else runs, never started or stopped. Its health is progress too; one that hangs takes no requests
 * until it moves again or, when nothing of ours is left on it, answers.
 */
export class AttachedEngine implements SupervisedEngine {
  readonly status: EngineStatus;
  readonly #parts: SupervisorParts;
  readonly #connection: EngineConnection;
  readonly #stopping = new AbortController();
  #probing: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  readonly marked = undefined;
  readonly waitsForRoom = false;
  /** Why it takes no requests, and how many reasons there were in a row. */
  #failure: Failure | undefined;

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
    const onFinding = (finding: Finding): void => this.#onFinding(finding);
    const watched = { status: this.status, connection: this.#connection, onFinding };
    this.#probing = watchLiveness(this.#parts, watched, unknownSince(performance.now()), this.#stopping.signal);
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

  #onFinding(finding: Finding): void {
    const { address } = this.#parts.adapter;
    switch (finding.kind) {
      case 'well':
        this.#becomeWell(finding.probe);
        break;
      case 'hung':
        this.#becomeUnhealthy({
          cause: FailureCause.HUNG,
          evidence: [],
          hint: `The server at ${address} has sent nothing for ${Math.round(finding.stillMs / 1_000)} s to requests that wait for it. If that goes on, start it again: the mesh cannot.`,
        });
        break;
      case 'wrong-model': {
        const hint = `The server at ${address} serves '${finding.found}', not '${finding.expected}'.`;
        this.#becomeUnhealthy({ cause: FailureCause.WRONG_MODEL, evidence: [], hint });
        break;
      }
      default:
        this.#becomeUnhealthy({
          cause: FailureCause.UNREACHABLE,
          evidence: [describeProblem(finding.error)],
          hint: `Check that the server at ${address} runs and takes the configured key.`,
        });
    }
  }

  #becomeWell(probe: EngineProbe | undefined): void {
    this.#failure = undefined;
    const { entry } = this.#parts;
    const facts: EngineFacts = probe
      ? {
          modelId: probe.modelId ?? this.status.engine.modelId,
          contextTokens: entry.max_model_len ?? probe.contextTokens ?? 0,
        }
      : {};
    if (this.status.state === EngineState.READY) this.status.learn(facts);
    else this.status.become(EngineState.READY, facts);
  }

  #becomeUnhealthy(failure: Omit<Failure, 'attempts'>): void {
    if (this.#failure?.cause === failure.cause) return;
    this.#failure = { ...failure, attempts: (this.#failure?.attempts ?? 0) + 1 };
    this.#parts.log.warn({ engine: this.#parts.entry.name, ...failure }, 'engine is not well');
    this.status.become(EngineState.UNHEALTHY, {}, this.#failure);
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
