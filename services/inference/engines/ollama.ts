import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import type { DeviceDemand, EngineAdapter, EngineConnection, EnginePlace, EngineSetting } from './engine.ts';
import { OLLAMA_CAPABILITIES, OllamaConnection } from './ollama-connection.ts';
import type { OllamaEntry } from './ollama-entry.ts';
import { OLLAMA_FAILURES, readOllamaLine } from './ollama-failures.ts';
import { ggufOf, modelsDirectory } from './ollama-store.ts';
import { deviceDemand, processLaunch } from './process-launch.ts';

/** Ollama: one that runs already, or an `ollama serve` of ours for one model. */
export function ollamaEngine(entry: OllamaEntry): EngineAdapter {
  const { base_url: baseUrl } = entry;
  const common = { kind: entry.engine, capabilities: OLLAMA_CAPABILITIES, modelId: entry.model };
  if (baseUrl !== undefined) {
    return {
      ...common,
      address: baseUrl.replace(/\/+$/, ''),
      deviceKind: 'remote',
      lifecycle: 'attached',
      portCount: 0,
      demand: () => Promise.resolve(undefined),
      connect: (setting) => attach(entry, new URL(baseUrl), setting),
    };
  }
  return {
    ...common,
    address: 'loopback:ollama',
    deviceKind: 'cpu',
    lifecycle: 'started',
    portCount: 1,
    demand: () => demand(entry),
    connect: (_setting, place) => start(entry, place),
  };
}

function attach(entry: OllamaEntry, baseUrl: URL, setting: EngineSetting): EngineConnection {
  return new OllamaConnection({
    engine: entry.name,
    model: entry.model,
    baseUrl,
    apiKey: apiKeyOf(entry, setting),
    // Its own default may be a few thousand tokens, whatever the model could do.
    contextTokens: entry.max_model_len,
    maxConcurrency: entry.max_concurrency,
  });
}

function start(entry: OllamaEntry, place: EnginePlace): EngineConnection {
  const [port] = place.ports;
  if (port === undefined) throw new Error(`engine '${entry.name}' has no port to listen on`);
  const host = `127.0.0.1:${port}`;
  const launch = processLaunch(entry, place, {
    program: entry.program ?? 'ollama',
    args: ['serve'],
    // Blobs that no manifest names may belong to a pull that runs in another Ollama; nothing leaves this machine.
    defaults: { OLLAMA_NOPRUNE: '1', OLLAMA_NO_CLOUD: '1' },
    environment: {
      OLLAMA_HOST: host,
      OLLAMA_KEEP_ALIVE: '-1',
      OLLAMA_MAX_LOADED_MODELS: '1',
      ...(entry.max_concurrency === undefined ? {} : { OLLAMA_NUM_PARALLEL: String(entry.max_concurrency) }),
      ...(entry.max_model_len === undefined ? {} : { OLLAMA_CONTEXT_LENGTH: String(entry.max_model_len) }),
    },
    readLine: readOllamaLine,
    failures: OLLAMA_FAILURES,
  });
  return new OllamaConnection({
    engine: entry.name,
    model: entry.model,
    baseUrl: new URL(`http://${host}`),
    launch,
    maxConcurrency: entry.max_concurrency,
  });
}

/** @throws StartRefusedError when the model is not pulled. */
async function demand(entry: OllamaEntry): Promise<DeviceDemand | undefined> {
  const gguf = await ggufOf(entry.model, modelsDirectory(entry.env));
  const use = {
    model: gguf ?? entry.model,
    contextTokens: entry.max_model_len,
    concurrency: entry.max_concurrency,
  };
  return deviceDemand(entry, use, { fallsBackToCpu: true });
}

function apiKeyOf(entry: OllamaEntry, setting: EngineSetting): string | undefined {
  if (entry.api_key_env === undefined) return undefined;
  const key = setting.environmentVariable(entry.api_key_env);
  if (key) return key;
  throw new ConfigError(`inference.models '${entry.name}': api_key_env: the variable ${entry.api_key_env} is not set`);
}
