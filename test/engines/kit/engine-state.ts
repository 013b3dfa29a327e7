// What a fake engine knows about its own work; its metrics are made of it.

/** The last generation that was asked for. */
export interface FakeRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Counters of one fake process. */
export interface FakeState {
  /** Generations whose connection is open. */
  running: number;
  /** Generations whose client left. */
  aborted: number;
  /** Generations answered to the end. */
  served: number;
  /** Steps of the engine: one per token. Frozen once it hangs. */
  step: number;
  promptTokens: number;
  generatedTokens: number;
  /** It hangs: no generation goes on. */
  hung: boolean;
  last?: FakeRequest;
}

/** A fresh count. */
export function newState(): FakeState {
  return { running: 0, aborted: 0, served: 0, step: 0, promptTokens: 0, generatedTokens: 0, hung: false };
}
