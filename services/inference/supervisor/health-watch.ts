import { EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineConnection, EngineProbe } from '../engines/engine.ts';
import type { EngineStatus } from './engine-status.ts';
import type { Ending } from './failure-cause.ts';
import { wrongModel } from './identity.ts';
import { aliveSince, type Liveness, look, type ProbeOutcome } from './liveness.ts';
import { describeProblem, probeLoop } from './probe-loop.ts';
import type { SupervisorParts } from './supervised-engine.ts';

/** Looks after the health of one life of a ready engine. */
export class HealthWatch {
  readonly #parts: SupervisorParts;
  readonly #status: EngineStatus;
  readonly #connection: EngineConnection;
  readonly #lost = Promise.withResolvers<Ending>();
  #liveness: Liveness;

  constructor(parts: SupervisorParts, status: EngineStatus, connection: EngineConnection) {
    this.#parts = parts;
    this.#status = status;
    this.#connection = connection;
    this.#liveness = aliveSince(performance.now(), status.load.events);
  }

  /** Resolves when the engine hangs or is another one; until then it goes between READY and UNHEALTHY. */
  untilLost(signal: AbortSignal): Promise<Ending> {
    const listener = {
      onProbe: (probe: EngineProbe) => this.#onProbe(probe),
      onFailure: (error: unknown, late: boolean) => this.#look({ kind: late ? 'late' : 'failed' }, error),
    };
    const probe = (probeSignal: AbortSignal): Promise<EngineProbe> => this.#connection.probe(probeSignal);
    void probeLoop(probe, listener, signal, this.#parts.limits);
    return this.#lost.promise;
  }

  #onProbe(probe: EngineProbe): void {
    const mismatch = wrongModel(this.#parts.adapter, probe);
    if (mismatch) {
      this.#lost.resolve({ kind: 'wrong-model', ...mismatch });
      return;
    }
    this.#status.gauges = probe;
    this.#look({ kind: 'answer', step: probe.step });
  }

  #look(probe: ProbeOutcome, error?: unknown): void {
    const { events, running, paused, flowing } = this.#status.load;
    const before = this.#liveness.health;
    const seen = { atMs: performance.now(), probe, events, running, paused, flowing };
    this.#liveness = look(this.#liveness, seen, this.#parts.limits.hungMs);
    const { health, stillMs } = this.#liveness;
    if (health === before) return;
    if (health === 'hung') this.#lost.resolve({ kind: 'hung', stillMs });
    else if (health === 'unwell') this.#becomeUnhealthy(error);
    else this.#status.become(EngineState.READY);
  }

  #becomeUnhealthy(error: unknown): void {
    const { entry, log } = this.#parts;
    log.warn({ engine: entry.name, err: error }, 'engine does not answer');
    this.#status.become(
      EngineState.UNHEALTHY,
      {},
      {
        cause: FailureCause.UNREACHABLE,
        evidence: [describeProblem(error)],
        hint: 'Its process runs and does not answer. It is started again if that goes on.',
        attempts: 1,
      },
    );
  }
}
