import { Counter, Gauge } from 'prom-client';
import { type Engine, EngineState, EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Metrics } from '../../shared/observability/metrics.ts';
import type { DeviceBook } from '../devices/device-book.ts';
import { EngineTexts, type ToldEngine } from './engine-texts.ts';

/** What is looked at when somebody scrapes. */
export interface InferenceMetricsParts {
  /** The node's name. */
  readonly node: string;
  readonly devices: Pick<DeviceBook, 'devices'>;
  readonly engines: () => readonly Engine[];
  readonly connections: () => readonly ToldEngine[];
}

const STATES = Object.values(EngineStateSchema.value).filter(({ number }) => number !== EngineState.UNSPECIFIED);
const KINDS = [
  ['total', 'memoryTotalBytes'],
  ['used', 'memoryUsedBytes'],
  ['booked', 'memoryBookedBytes'],
  ['foreign', 'memoryForeignBytes'],
] as const;

/** Declares what a node tells of its engines and devices; the engines' own metrics come with it. */
export function declareInferenceMetrics(metrics: Metrics, parts: InferenceMetricsParts): void {
  const { node, engines, connections } = parts;
  const registers = [metrics.registry];
  declareLoad(metrics, parts);
  declareDevices(metrics, parts);
  new Gauge({
    name: 'mesh_engine_state',
    help: '1 for the state that the engine is in, 0 for all others.',
    labelNames: ['node', 'engine', 'model', 'state'],
    registers,
    collect() {
      this.reset();
      for (const { name: engine, modelId: model, state } of engines()) {
        for (const { number, localName } of STATES) {
          this.set({ node, engine, model, state: localName.toLowerCase() }, number === state ? 1 : 0);
        }
      }
    },
  });
  new Counter({
    name: 'mesh_engine_restarts_total',
    help: 'How often the engine ended without being told to and was started again.',
    labelNames: ['node', 'engine'],
    registers,
    collect() {
      this.reset();
      for (const { name: engine, restarts } of engines()) this.inc({ node, engine }, restarts);
    },
  });
  const texts = new EngineTexts(node, connections, (name) => metrics.registry.getSingleMetric(name) !== undefined);
  metrics.addText(() => texts.text());
}

function declareLoad({ registry }: Metrics, { node, engines }: InferenceMetricsParts): void {
  const registers = [registry];
  const labelNames = ['node', 'engine', 'model'] as const;
  const gauge = (name: string, help: string, read: (load: NonNullable<Engine['load']>) => number | undefined): void => {
    new Gauge({
      ...{ name, help, labelNames, registers },
      collect() {
        this.reset();
        for (const { name: engine, modelId: model, load } of engines()) {
          const value = load && read(load);
          if (value !== undefined) this.set({ node, engine, model }, value);
        }
      },
    });
  };
  gauge('mesh_engine_requests_running', 'Calls that the mesh has running on the engine.', ({ running }) => running);
  gauge(
    'mesh_engine_requests_waiting',
    "Calls in the engine's own queue; 0 where it does not tell.",
    ({ waiting }) => waiting,
  );
  gauge(
    'mesh_engine_kv_cache_used_ratio',
    'The used share of the KV cache, 0 to 1; no series where the engine does not tell.',
    ({ kvCacheUsed }) => kvCacheUsed,
  );
}

function declareDevices({ registry }: Metrics, { node, devices }: InferenceMetricsParts): void {
  new Gauge({
    name: 'mesh_device_memory_bytes',
    help: 'Memory of a device (CUDA index, MIG uuid or cpu): total, used by all, booked by our engines, used by others than them.',
    labelNames: ['node', 'device', 'kind'],
    registers: [registry],
    collect() {
      this.reset();
      for (const message of devices.devices()) {
        const device = message.index === undefined ? message.uuid || 'cpu' : String(message.index);
        for (const [kind, field] of KINDS) this.set({ node, device, kind }, Number(message[field]));
      }
    },
  });
}
