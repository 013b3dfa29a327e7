import type { EngineAdapter, EngineConnection, EnginePlace } from './engine.ts';
import { deviceDemand, processLaunch } from './process-launch.ts';
import { TRANSFORMERS_CAPABILITIES, TransformersConnection } from './transformers-connection.ts';
import type { TransformersEntry } from './transformers-entry.ts';
import { readTransformersLine, TRANSFORMERS_FAILURES } from './transformers-failures.ts';

/** `transformers serve`, pinned to one model: a fallback for models that no other engine runs. */
export function transformersEngine(entry: TransformersEntry): EngineAdapter {
  return {
    kind: entry.engine,
    capabilities: TRANSFORMERS_CAPABILITIES,
    address: 'loopback:transformers',
    modelId: entry.model,
    deviceKind: 'cpu',
    lifecycle: 'started',
    portCount: 1,
    demand: () => {
      const { model, dtype, max_model_len: contextTokens, max_concurrency: concurrency } = entry;
      return deviceDemand(
        entry,
        { model, dtype, contextTokens, concurrency },
        { fallsBackToCpu: true, growsWithUse: true },
      );
    },
    connect: (_setting, place) => start(entry, place),
  };
}

function start(entry: TransformersEntry, place: EnginePlace): EngineConnection {
  const [port] = place.ports;
  if (port === undefined) throw new Error(`engine '${entry.name}' has no port to listen on`);
  const args = ['serve', entry.model, '--host', '127.0.0.1', '--port', String(port)];
  args.push('--device', place.devices.length === 0 ? 'cpu' : 'auto');
  if (entry.dtype !== undefined) args.push('--dtype', entry.dtype);
  if (entry.quantization !== undefined) args.push('--quantization', entry.quantization);
  const launch = processLaunch(entry, place, {
    program: entry.program ?? 'transformers',
    args,
    defaults: { HF_HUB_DISABLE_TELEMETRY: '1', HF_HUB_DISABLE_UPDATE_CHECK: '1', PYTHONUNBUFFERED: '1' },
    readLine: (line) => readTransformersLine(line),
    failures: TRANSFORMERS_FAILURES,
  });
  return new TransformersConnection(entry, port, launch);
}
