import { type Engine, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { ListNodesResponse } from '../../../gen/mesh/router/v1/registry_service_pb.ts';

/** What health is computed from. */
export interface HealthFacts {
  /** Unset: the registry does not answer. */
  readonly fleet: ListNodesResponse | undefined;
  readonly storeKind: 'sqlite' | 'redis';
  readonly storeAnswers: boolean;
  /** Whether one of the processes that share the port has never been ready yet. */
  readonly awaitsWorkers: boolean;
  readonly draining: boolean;
  readonly version: string;
}

/** The body of `GET /health`: the union of what the monitors of all five systems read. */
export interface HealthBody {
  readonly status: 'healthy' | 'degraded' | 'unhealthy';
  readonly version: string;
  readonly model: string | null;
  readonly backend: string | null;
  readonly model_loaded: boolean;
  readonly available_models: string[];
  readonly redis_connected: boolean;
  readonly store: 'sqlite' | 'redis';
  readonly vllm_status: 'connected' | 'disconnected' | 'not_configured';
  readonly backends: Record<string, string[]>;
}

/** Computes the body of `GET /health`. */
export function healthBody(facts: HealthFacts): HealthBody {
  const engines = enginesOf(facts.fleet);
  const fallback = defaultEngine(facts.fleet, engines);
  return {
    status: statusOf(facts, engines),
    version: facts.version,
    model: fallback ? modelOf(fallback) : facts.fleet?.defaultModel || null,
    backend: fallback?.kind ?? null,
    model_loaded: fallback !== undefined && isReady(fallback),
    available_models: [...new Set(engines.filter(canServe).map(modelOf))],
    redis_connected: facts.storeAnswers,
    store: facts.storeKind,
    vllm_status: vllmStatus(engines),
    backends: backendsOf(engines),
  };
}

/** Why the mesh is not ready, or undefined when it is: the store answers and every required model has a ready engine. */
export function unreadiness(facts: HealthFacts): 'draining' | 'workers' | 'store' | 'registry' | 'model' | undefined {
  if (facts.draining) return 'draining';
  if (facts.awaitsWorkers) return 'workers';
  if (!facts.storeAnswers) return 'store';
  // Every mesh has a node, with or without engines: until it has registered nothing is known.
  if (!facts.fleet || facts.fleet.nodes.length === 0) return 'registry';
  const engines = enginesOf(facts.fleet);
  // A default model that nobody announced yet: its node is still on the way.
  if (facts.fleet.defaultModel !== '' && !defaultEngine(facts.fleet, engines)) return 'model';
  const readyNames = new Set(engines.filter(isReady).map((engine) => engine.name));
  return engines.some((engine) => engine.required && !readyNames.has(engine.name)) ? 'model' : undefined;
}

function statusOf(facts: HealthFacts, engines: readonly Engine[]): HealthBody['status'] {
  if (facts.draining || !facts.storeAnswers || !engines.some(canServe)) return 'unhealthy';
  return unreadiness(facts) === undefined && engines.filter(isWanted).every(canServe) ? 'healthy' : 'degraded';
}

/** Engines of nodes that take work. */
function enginesOf(fleet: ListNodesResponse | undefined): Engine[] {
  return fleet?.nodes.filter((node) => !node.draining).flatMap((node) => node.engines) ?? [];
}

/** The engine of the default model, a ready one before others. */
function defaultEngine(fleet: ListNodesResponse | undefined, engines: readonly Engine[]): Engine | undefined {
  const named = engines.filter((engine) => engine.name === fleet?.defaultModel);
  return named.find(isReady) ?? named.find(canServe) ?? named[0];
}

function isReady(engine: Engine): boolean {
  return engine.state === EngineState.READY;
}

/** Where an engine is that does not run as it should: a request does not make it come. */
const FAILED: ReadonlySet<EngineState> = new Set([EngineState.UNHEALTHY, EngineState.BACKOFF, EngineState.QUARANTINED]);

/** Whether a request to it is answered: it is ready, or the request makes it come. */
function canServe(engine: Engine): boolean {
  return isReady(engine) || (engine.onDemand && !engine.unloaded && !FAILED.has(engine.state));
}

/** Whether an engine is meant to serve; one that was unloaded or stopped by hand is no fault. */
function isWanted({ state, onDemand, unloaded }: Engine): boolean {
  if (unloaded) return false;
  return onDemand || (state !== EngineState.STOPPED && state !== EngineState.STOPPING);
}

function modelOf(engine: Engine): string {
  return engine.modelId || engine.name;
}

/** A vLLM server that somebody else runs is known by the name that `VLLM_BASE_URL` and an import give it. */
function vllmStatus(engines: readonly Engine[]): HealthBody['vllm_status'] {
  const vllm = engines.filter(({ kind, name }) => kind === 'vllm' || name === 'vllm');
  if (vllm.length === 0) return 'not_configured';
  return vllm.some(isReady) ? 'connected' : 'disconnected';
}

function backendsOf(engines: readonly Engine[]): Record<string, string[]> {
  const backends = new Map<string, string[]>();
  for (const engine of engines) {
    const addresses = backends.get(engine.name) ?? [];
    if (isReady(engine)) addresses.push(engine.address);
    backends.set(engine.name, addresses);
  }
  return Object.fromEntries(backends);
}
