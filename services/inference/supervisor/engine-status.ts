import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type Engine,
  EngineFailureSchema,
  EngineLoadSchema,
  EngineSchema,
  EngineState,
  EngineStateSchema,
  type FailureCause,
} from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineAdapter } from '../engines/engine.ts';
import { comesOnDemand, type ModelEntry } from '../engines/model-entry.ts';
import { EngineLoad } from './engine-load.ts';
import { mayBecome, showsFailure } from './engine-state.ts';

/** Why an engine failed. */
export interface Failure {
  readonly cause: FailureCause;
  /** Log lines that show it. */
  readonly evidence: readonly string[];
  /** What to change. */
  readonly hint: string;
  /** When it is started again, in milliseconds since the epoch. Unset: not by itself. */
  readonly retryAtMs?: number;
  /** Failures in a row. */
  readonly attempts: number;
}

/** What may change besides the state. */
export type EngineFacts = Partial<
  Pick<
    Engine,
    | 'modelId'
    | 'stage'
    | 'percent'
    | 'devices'
    | 'deviceKind'
    | 'contextTokens'
    | 'maxConcurrency'
    | 'processId'
    | 'restarts'
    | 'capabilities'
  >
>;

/** What an engine says of its own load. Unset: it does not tell. */
export interface EngineGauges {
  readonly waiting?: number | undefined;
  readonly kvCacheUsed?: number | undefined;
}

/** What is known of one engine. Its supervisor writes, everybody else reads; a message that was read never changes. */
export class EngineStatus {
  readonly #onChange: (engine: Engine) => void;
  readonly #now: () => number;
  /** What the mesh has running on it. Load alone is no change: reports carry it along. */
  readonly load = new EngineLoad();
  /** What it last said of its own load. */
  gauges: EngineGauges = {};
  #engine: Engine;

  constructor(entry: ModelEntry, adapter: EngineAdapter, now: () => number, onChange: (engine: Engine) => void) {
    this.#onChange = onChange;
    this.#now = now;
    this.#engine = create(EngineSchema, {
      name: entry.name,
      kind: adapter.kind,
      modelId: adapter.modelId,
      state: EngineState.PENDING,
      deviceKind: adapter.deviceKind,
      address: adapter.address,
      contextTokens: entry.max_model_len ?? 0,
      maxConcurrency: entry.max_concurrency ?? 0,
      maxConcurrentContextTokens: entry.max_concurrent_context_tokens ?? 0,
      required: entry.required,
      onDemand: comesOnDemand(entry),
      capabilities: adapter.capabilities,
    });
  }

  get state(): EngineState {
    return this.#engine.state;
  }

  /** The engine as it is now. */
  get engine(): Engine {
    const { waiting = 0, kvCacheUsed } = this.gauges;
    const { running, completionTokens } = this.load;
    const told = { running, waiting, ...(kvCacheUsed === undefined ? {} : { kvCacheUsed }) };
    const load = create(EngineLoadSchema, { ...told, completionTokens: BigInt(completionTokens) });
    return { ...this.#engine, load };
  }

  /** Goes to another state; an illegal step is a defect of the supervisor. */
  become(state: EngineState, facts: EngineFacts = {}, failure?: Failure): void {
    const { name, state: from } = this.#engine;
    if (!mayBecome(from, state)) throw new Error(`engine '${name}': ${stateName(from)} → ${stateName(state)}`);
    const { stage: _stage, percent: _percent, failure: _failure, ...rest } = this.#engine;
    this.#engine = {
      ...rest,
      stage: '',
      ...facts,
      state,
      ...(state === EngineState.READY ? { readyAt: timestampFromMs(this.#now()) } : {}),
      ...(failure && showsFailure(state) ? { failure: failureMessage(failure) } : {}),
    };
    this.#onChange(this.engine);
  }

  /** Learns something within a state. */
  learn(facts: EngineFacts): void {
    const known = this.#engine;
    const isNews = Object.entries(facts).some(([name, value]) => known[name as keyof EngineFacts] !== value);
    if (!isNews) return;
    this.#engine = { ...known, ...facts };
    this.#onChange(this.engine);
  }
}

function stateName(state: EngineState): string {
  return EngineStateSchema.value[state]?.localName ?? String(state);
}

function failureMessage({ cause, evidence, hint, retryAtMs, attempts }: Failure) {
  return create(EngineFailureSchema, {
    cause,
    evidence: [...evidence],
    hint,
    attempts,
    ...(retryAtMs === undefined ? {} : { retryAt: timestampFromMs(retryAtMs) }),
  });
}
