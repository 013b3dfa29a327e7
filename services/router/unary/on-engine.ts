import { create } from '@bufbuild/protobuf';
import type { CallOptions, HandlerContext } from '@connectrpc/connect';
import { SamplingParametersSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import { traceOf } from '../../shared/interceptors/trace-served.ts';
import { REQUEST_ID_HEADER, requestIdOf } from '../../shared/transport/mesh-headers.ts';
import type { Trial } from '../fleet/breaker.ts';
import type { NodeClient } from '../fleet/fleet.ts';
import type { Registry } from '../fleet/registry.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import { noHealthyEngine } from '../generate/admission.ts';
import { faultOf } from '../generate/engine-fault.ts';
import type { GenerationRecord } from '../generate/generation-record.ts';
import type { EngineSide } from '../generate/relay.ts';
import type { Place, Places, Wanting } from '../queue/places.ts';

/** What a call needs of an engine besides that it takes requests. */
export type Ability = 'embeddings' | 'tokenize';

/** A call that is answered in one piece, and makes no tokens. */
export interface EngineTask<Answer> {
  readonly route: ModelRoute;
  readonly ability: Ability;
  /** What is noted of it. */
  readonly record: GenerationRecord;
  /** What it weighs on an engine, in tokens. */
  readonly tokens: number;
  /** Whether it is work that engines do a limited amount of at a time; then it waits in turn while all are full. */
  readonly takesPlace: boolean;
  /** Called when the first engine is chosen, before it is asked; what it throws ends the call. */
  readonly onChosen?: (candidate: Candidate) => Promise<void>;
  readonly ask: (client: NodeClient, candidate: Candidate, options: CallOptions) => Promise<Answer>;
}

/** What such calls work with. */
export interface OnEngineParts {
  readonly places: Places;
  /** The engines as they are known now. */
  readonly registry: Pick<Registry, 'snapshot'>;
  /** The methods of the node at an address; "" is this process. */
  readonly inferenceAt: (address: string) => NodeClient;
  /** What is known of failing engines, and how often a call may be tried. */
  readonly engines: Pick<EngineSide, 'breakers' | 'retryBudget' | 'mostTries'>;
  /** The longest that one may take, in milliseconds. */
  readonly totalMs: number;
}

/**
 * Runs a call on an engine of a model, and on another one when that cannot: asking again changes nothing, for such calls have
 * no effect. What takes places teaches what is known of failing engines.
 *
 * @throws MeshError UNSUPPORTED_FIELD when no engine of the model has the ability; NO_HEALTHY_ENGINE, MODEL_NOT_LOADED,
 * QUEUE_FULL, DEADLINE_EXCEEDED; what the engine answers.
 */
export async function onEngine<Answer>(
  parts: OnEngineParts,
  call: HandlerContext,
  task: EngineTask<Answer>,
): Promise<{ readonly answer: Answer; readonly candidate: Candidate }> {
  const { route, ability, record, onChosen, ask } = task;
  const { inferenceAt, engines, totalMs } = parts;
  const { breakers, retryBudget, mostTries } = engines;
  const lacks = ({ engine }: Candidate): boolean => engine.capabilities?.[ability] !== true;
  if (route.candidates.every(lacks)) throw unsupported(route.id, ability);
  const tried = new Set<string>();
  let failure: MeshError | undefined;
  retryBudget.earn();
  while (tried.size === 0 || (tried.size < mostTries && retryBudget.spend())) {
    let place: Place;
    try {
      place = await placeFor(parts, call, task, (candidate) => lacks(candidate) || tried.has(candidate.id));
    } catch (error) {
      throw failure ?? error;
    }
    const { candidate } = place;
    note(record, place);
    try {
      if (tried.size === 0) await onChosen?.(candidate);
    } catch (error) {
      place.leave();
      throw error;
    }
    tried.add(candidate.id);
    const trial = task.takesPlace ? breakers.enter(candidate.id) : undefined;
    try {
      record.attempts += 1;
      record.sentAtMs ??= performance.now();
      const answer = await ask(inferenceAt(candidate.address), candidate, optionsOf(call, totalMs));
      trial?.progressed();
      trial?.succeeded();
      return { answer, candidate };
    } catch (error) {
      failure = asMeshError(error);
      if (!isTriedElsewhere(trial, failure, call)) throw failure;
    } finally {
      trial?.left();
      place.leave();
    }
  }
  throw failure ?? noHealthyEngine(route.id);
}

function note(record: GenerationRecord, { candidate, modelId, waitedMs }: Place): void {
  record.bookedAtMs ??= performance.now();
  record.modelId = modelId;
  record.engine = candidate.engine.name;
  record.node = candidate.node;
  record.queuedMs += waitedMs;
}

/** Notes what a failure says of its engine. Returns whether another one might do better. */
function isTriedElsewhere(trial: Trial | undefined, failure: MeshError, call: HandlerContext): boolean {
  const isLate = failure.reason === 'DEADLINE_EXCEEDED';
  // Whoever left, or gave little time, says nothing about the engine.
  if (call.signal.aborted || (isLate && call.timeoutMs() !== undefined)) return false;
  const fault = faultOf(failure);
  if (fault === 'broken') trial?.failed();
  return fault !== 'final' && !isLate;
}

/** @throws MeshError as Places.take, and DEADLINE_EXCEEDED. */
async function placeFor(
  { places, registry, totalMs }: OnEngineParts,
  call: HandlerContext,
  { route, tokens, takesPlace }: EngineTask<unknown>,
  excluded: (candidate: Candidate) => boolean,
): Promise<Place> {
  const sampling = create(SamplingParametersSchema, { maxTokens: 0 });
  const features = { pinned: '', session: undefined, prefix: [], promptTokens: tokens, sampling, tokens };
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new MeshError('DEADLINE_EXCEEDED', 'Gateway timeout', { metadata: { limit: 'total' } }));
  }, totalMs);
  const wanting: Wanting = {
    ...{ features, excluded, principal: principalOf(call), request: {} },
    modelId: route.id,
    route: () => registry.snapshot.route(route.key),
    signal: AbortSignal.any([call.signal, late.signal]),
  };
  try {
    return takesPlace ? await places.take(wanting) : places.beside(wanting);
  } finally {
    clearTimeout(timer);
  }
}

/** Under the caller's request id and in his trace, without his credential, which no engine must see. */
function optionsOf(call: HandlerContext, totalMs: number): CallOptions {
  const timeoutMs = Math.max(1, Math.floor(Math.min(totalMs, call.timeoutMs() ?? totalMs)));
  const headers = { ...traceOf(call), [REQUEST_ID_HEADER]: requestIdOf(call.requestHeader) };
  return { signal: call.signal, timeoutMs, headers };
}

function unsupported(model: string, field: keyof EngineCapabilities & Ability): MeshError {
  const what = field === 'embeddings' ? 'makes no vectors' : 'tells no tokens';
  return new MeshError('UNSUPPORTED_FIELD', `The model '${model}' ${what} ('${field}').`, { metadata: { field } });
}
