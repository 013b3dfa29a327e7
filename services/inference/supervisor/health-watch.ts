import { EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineConnection } from '../engines/engine.ts';
import type { EngineStatus } from './engine-status.ts';
import type { Ending } from './failure-cause.ts';
import { aliveSince } from './liveness.ts';
import { type Finding, watchLiveness } from './liveness-watch.ts';
import { describeProblem } from './probe-loop.ts';
import type { SupervisorParts } from './supervised-engine.ts';

/** Looks after the health of one life of a ready engine of ours. */
export class HealthWatch {
  readonly #parts: SupervisorParts;
  readonly #status: EngineStatus;
  readonly #connection: EngineConnection;
  readonly #lost = Promise.withResolvers<Ending>();

  constructor(parts: SupervisorParts, status: EngineStatus, connection: EngineConnection) {
    this.#parts = parts;
    this.#status = status;
    this.#connection = connection;
  }

  /** Resolves when the engine hangs or is another one; until then it goes between READY and UNHEALTHY. */
  untilLost(signal: AbortSignal): Promise<Ending> {
    const onFinding = (finding: Finding): void => this.#onFinding(finding);
    const begin = aliveSince(performance.now(), this.#status.load.events);
    const watched = { status: this.#status, connection: this.#connection, onFinding };
    void watchLiveness(this.#parts, watched, begin, signal);
    return this.#lost.promise;
  }

  #onFinding(finding: Finding): void {
    const { state } = this.#status;
    switch (finding.kind) {
      case 'well':
        if (state === EngineState.UNHEALTHY) this.#status.become(EngineState.READY);
        break;
      case 'unwell':
        if (state === EngineState.READY) this.#becomeUnhealthy(finding.error);
        break;
      case 'wrong-model':
        this.#lost.resolve(finding);
        break;
      default:
        this.#lost.resolve({ kind: 'hung', stillMs: finding.stillMs });
    }
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
