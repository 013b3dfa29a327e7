import { ConfigError, type Source } from './shared/lifecycle/config-source.ts';

/** What an environment says of models, in the words of the configuration file. */
export interface EnvironmentModels {
  /** Entries of `inference.models`, each with the variable that it comes from. */
  readonly entries: readonly { readonly variable: string; readonly entry: ModelFields }[];
  /** For `router.default_model`, with the variable that names it. */
  readonly defaultModel?: { readonly variable: string; readonly name: string };
}

/** An entry as a file would hold it. */
export interface ModelFields {
  readonly name: string;
  readonly engine: string;
  readonly [field: string]: unknown;
}

/** How an environment names the engines that the mesh starts. */
const BACKENDS: Readonly<Record<string, string>> = {
  ollama: 'ollama',
  transformers: 'transformers',
  vllm: 'vllm',
  tgi: 'tgi',
  llamacpp: 'llama.cpp',
};

/** The name of the entry for the server at VLLM_BASE_URL; an imported config.yaml gives it the same. */
const ATTACHED_NAME = 'vllm';

/** What environmentModels reads. */
export const MODEL_VARIABLES: readonly string[] = [
  'MODEL_BACKEND',
  'OLLAMA_MODEL',
  'MODEL_NAME',
  'VLLM_BASE_URL',
  'VLLM_DEFAULT_MODEL',
];

/** Backends that may run at VLLM_BASE_URL instead of being started. */
const ATTACHABLE = ['vllm', 'openai'];

/**
 * Reads MODEL_VARIABLES.
 *
 * @throws ConfigError that names the variable and what it lacks.
 */
export function environmentModels(env: NodeJS.Dict<string>): EnvironmentModels {
  const { MODEL_BACKEND: backend, VLLM_BASE_URL: url, VLLM_DEFAULT_MODEL: defaultModel } = env;
  if (backend && backend !== 'openai' && !Object.hasOwn(BACKENDS, backend)) {
    throw new ConfigError(`MODEL_BACKEND: expected one of ${Object.keys(BACKENDS).join(', ')}, openai`);
  }
  const orphan = ['OLLAMA_MODEL', 'MODEL_NAME'].find((name) => env[name]);
  if (!backend && orphan) throw new ConfigError(`${orphan}: needs MODEL_BACKEND, which says what runs the model`);
  if (backend === 'openai' && !url) {
    throw new ConfigError('MODEL_BACKEND: openai is a server that runs already; say where in VLLM_BASE_URL');
  }
  const isAttached = url && (!backend || ATTACHABLE.includes(backend));
  const started = backend && !isAttached ? [startedEntry(backend, env)] : [];
  const model = defaultModel || (isAttached ? env.MODEL_NAME : undefined) || undefined;
  const attached = url ? [{ variable: 'VLLM_BASE_URL', entry: attachedEntry('VLLM_BASE_URL', url, model) }] : [];
  const entries = [...started, ...attached];
  if (defaultModel) return { entries, defaultModel: { variable: 'VLLM_DEFAULT_MODEL', name: defaultModel } };
  const [first] = entries;
  return first ? { entries, defaultModel: { variable: first.variable, name: first.entry.name } } : { entries };
}

/**
 * Adds what the environment says of models to the configuration. Its model is the default one, unless the file says otherwise.
 *
 * @throws ConfigError as environmentModels, and where the file has another model of that name.
 */
export function addEnvironmentModels(source: Source, env: NodeJS.ProcessEnv): void {
  const { entries, defaultModel } = environmentModels(env);
  for (const { variable, entry } of entries) source.addEntry(['inference', 'models'], entry, 'engine', variable);
  if (!defaultModel) return;
  const { variable, name } = defaultModel;
  if (variable !== 'VLLM_DEFAULT_MODEL' && source.has(['router', 'default_model'])) return;
  source.override(['router', 'default_model'], { [variable]: name });
}

/** The entry of a model that an engine is to be started for; its name is the last part of the model's. */
export function modelFields(engine: string, model: string): ModelFields {
  return { name: model.split('/').at(-1) ?? model, engine, model };
}

/**
 * The entry of a server that runs already; the path of its API is often left out.
 *
 * @throws ConfigError that names `field`.
 */
export function attachedEntry(field: string, text: string, model: unknown): ModelFields {
  if (!URL.canParse(text)) throw new ConfigError(`${field}: expected an address such as http://10.0.0.7:8000`);
  const url = new URL(text);
  if (url.pathname === '/') url.pathname = '/v1';
  return { name: ATTACHED_NAME, engine: 'openai', base_url: url.href, ...(model === undefined ? {} : { model }) };
}

function startedEntry(backend: string, env: NodeJS.Dict<string>): EnvironmentModels['entries'][number] {
  const variables = backend === 'ollama' ? ['OLLAMA_MODEL', 'MODEL_NAME'] : ['MODEL_NAME'];
  const model = variables.map((name) => env[name]).find(Boolean);
  if (!model) throw new ConfigError(`MODEL_BACKEND: needs the name of the model in ${variables.join(' or ')}`);
  return { variable: 'MODEL_BACKEND', entry: modelFields(BACKENDS[backend] ?? backend, model) };
}
