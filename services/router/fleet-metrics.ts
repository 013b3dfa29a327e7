import { Gauge, type Registry as MetricRegistry } from 'prom-client';
import type { Breakers } from './fleet/breaker.ts';
import type { Registry } from './fleet/registry.ts';
import type { Pipeline } from './generate/pipeline.ts';
import type { Reports } from './generate/reports.ts';
import type { Places } from './queue/places.ts';
import type { EngineLoads } from './select/engine-loads.ts';

/** What of the router is looked at when somebody scrapes. */
export interface FleetMetricsParts {
  readonly registry: Pick<Registry, 'snapshot'>;
  readonly places: Pick<Places, 'waitingFor'>;
  readonly pipeline: Pick<Pipeline, 'runningCount'>;
  readonly reports: Pick<Reports, 'leases'>;
  readonly breakers: Pick<Breakers, 'stateOf'>;
  readonly loads: Pick<EngineLoads, 'of'>;
}

/** What a breaker counts as. */
const BREAKER_VALUES = { closed: 0, half_open: 1, open: 2 } as const;
const STANDINGS = ['ready', 'coming', 'out'] as const;

/** Declares what the router tells of queues, leases and engines. Nothing of it costs anything between scrapes. */
export function declareFleetMetrics(metrics: MetricRegistry, parts: FleetMetricsParts): void {
  const { registry, places, pipeline, reports, breakers, loads } = parts;
  const registers = [metrics];
  new Gauge({
    name: 'mesh_generations_running',
    help: 'Generations that this router has taken and that are not over, those that wait included.',
    registers,
    collect() {
      this.set(pipeline.runningCount);
    },
  });
  new Gauge({
    name: 'mesh_leases_held',
    help: 'Leases of quota that this router holds for what waits and runs.',
    registers,
    collect() {
      this.set(reports.leases);
    },
  });
  new Gauge({
    name: 'mesh_queue_depth',
    help: 'Calls that wait in this router for a place on an engine of the model.',
    labelNames: ['model'],
    registers,
    collect() {
      this.reset();
      for (const { id } of registry.snapshot.models) this.set({ model: id }, places.waitingFor(id));
    },
  });
  new Gauge({
    name: 'mesh_model_engines',
    help: 'Engines of the model as this router sees them: ready, coming when a request needs them, or out.',
    labelNames: ['model', 'standing'],
    // Routers see the same engines.
    aggregator: 'max',
    registers,
    collect() {
      this.reset();
      for (const { id, candidates } of registry.snapshot.models) {
        for (const standing of STANDINGS) {
          this.set({ model: id, standing }, candidates.filter((one) => one.standing === standing).length);
        }
      }
    },
  });
  new Gauge({
    name: 'mesh_breaker_state',
    help: 'Whether this router sends requests to the engine: 0 it does (closed), 1 one to try it (half-open), 2 none (open).',
    labelNames: ['node', 'engine'],
    aggregator: 'max',
    registers,
    collect() {
      this.reset();
      for (const { id, node, engine } of candidatesOf(registry)) {
        this.set({ node, engine: engine.name }, BREAKER_VALUES[breakers.stateOf(id)]);
      }
    },
  });
  new Gauge({
    name: 'mesh_engine_requests',
    help: 'Calls that this router has on the engine.',
    labelNames: ['node', 'engine'],
    registers,
    collect() {
      this.reset();
      for (const { id, node, engine } of candidatesOf(registry)) {
        this.set({ node, engine: engine.name }, loads.of(id).requests);
      }
    },
  });
}

function candidatesOf({ snapshot }: Pick<Registry, 'snapshot'>) {
  return snapshot.models.flatMap(({ candidates }) => candidates);
}
