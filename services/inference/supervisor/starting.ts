import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineConnection, EngineLaunch, EngineProbe, EngineProgress } from '../engines/engine.ts';
import { StartRefusedError } from '../engines/start-refused.ts';
import type { EngineStatus } from './engine-status.ts';
import { type Ending, refused } from './failure-cause.ts';
import { wrongModel } from './identity.ts';
import type { EngineLogLine } from './log-lines.ts';
import { describeProblem } from './probe-loop.ts';
import { StartStalledError, untilReady } from './readiness.ts';
import type { SupervisorParts } from './supervised-engine.ts';
import { warmUp } from './warm-up.ts';

/** A start in all, in seconds, of an engine whose entry cannot say. */
const START_LIMIT_SECONDS = 3_600;

/** An engine that has made a token. */
export interface Ready {
  readonly kind: 'ready';
  readonly probe: EngineProbe;
}

/** One start, from the process on until its first token. */
export class Starting {
  readonly #parts: SupervisorParts;
  readonly #status: EngineStatus;
  #progressedAtMs = performance.now();
  #learned: EngineProgress = { stage: '' };

  constructor(parts: SupervisorParts, status: EngineStatus) {
    this.#parts = parts;
    this.#status = status;
  }

  /** What its output has told so far. */
  get learned(): EngineProgress {
    return this.#learned;
  }

  /** Takes a line of its output. */
  onLine(line: EngineLogLine, launch: EngineLaunch): void {
    const { entry, log } = this.#parts;
    log.debug({ engine: entry.name, stderr: line.fromStderr }, line.text);
    if (this.#status.state !== EngineState.STARTING) return;
    const progress = launch.readLine(line.text, line.fromStderr);
    if (!progress) return;
    this.#progressedAtMs = performance.now();
    this.#learned = { ...this.#learned, ...progress };
    const { stage, percent } = progress;
    this.#status.learn({ stage, ...(percent === undefined ? {} : { percent }) });
  }

  /** Waits until it answers, is the right one, and has made one token. Never rejects; once aborted its result is void. */
  async untilReady(connection: EngineConnection, signal: AbortSignal): Promise<Ready | Ending> {
    const { adapter, entry, limits } = this.#parts;
    const limitMs = ('start_timeout_seconds' in entry ? entry.start_timeout_seconds : START_LIMIT_SECONDS) * 1_000;
    const beganAtMs = performance.now();
    let probe: EngineProbe;
    try {
      probe = await untilReady({
        probe: (probeSignal) => connection.probe(probeSignal),
        signal,
        progressedAtMs: () => this.#progressedAtMs,
        stallMs: limits.stallMs,
        limitMs,
      });
    } catch (error) {
      if (error instanceof StartRefusedError) return refused(error);
      return { kind: 'stalled', problem: error instanceof StartStalledError ? error.message : String(error) };
    }
    const mismatch = wrongModel(adapter, probe);
    if (mismatch) return { kind: 'wrong-model', ...mismatch };
    const leftMs = Math.max(0, limitMs - (performance.now() - beganAtMs));
    return await this.#warmUp(connection, probe, signal, Math.min(limits.stallMs, leftMs));
  }

  async #warmUp(
    connection: EngineConnection,
    probe: EngineProbe,
    signal: AbortSignal,
    limitMs: number,
  ): Promise<Ready | Ending> {
    if (!signal.aborted) this.#status.learn({ stage: 'warming up' });
    const late = AbortSignal.timeout(limitMs);
    try {
      await warmUp(connection, this.#parts.entry.name, AbortSignal.any([signal, late]));
      return { kind: 'ready', probe };
    } catch (error) {
      if (late.aborted) return { kind: 'stalled', problem: `no token within ${Math.round(limitMs / 1_000)} s` };
      return { kind: 'warm-up', problem: describeProblem(error) };
    }
  }
}
