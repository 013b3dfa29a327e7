import type { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';

/** A start that waiting cannot help, e.g. because the model is not there. A probe throws it; it ends the start. */
export class StartRefusedError extends Error {
  override readonly name = 'StartRefusedError';
  readonly failureCause: FailureCause;
  /** What to change. */
  readonly hint: string;

  /** `evidence` is what the engine said, fit for an operator. */
  constructor(failureCause: FailureCause, evidence: string, hint: string) {
    super(evidence);
    this.failureCause = failureCause;
    this.hint = hint;
  }
}
