import { parseEnv } from 'node:util';
import { parse } from 'yaml';
import { attachedEntry, environmentModels, MODEL_VARIABLES, modelFields } from './environment-models.ts';
import { ConfigError } from './shared/lifecycle/config-source.ts';
import { flagValue } from './shared/lifecycle/flag-value.ts';
import { logLevelName } from './shared/observability/logger.ts';

/** What a configuration of another system holds, in our words. */
export interface ForeignConfig {
  /** Keys in the clear. `userId` empty: none. */
  readonly keys: readonly { readonly key: string; readonly userId: string; readonly tier: string }[];
  readonly users: readonly { readonly name: string; readonly passwordHash: string }[];
  /** Sections of the configuration file. */
  readonly sections: Fields;
  /** What was left out or needs a look, for people. Nothing of it is secret. */
  readonly notes: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Sections that only our own file has. */
const OWN_SECTIONS = ['auth', 'quota', 'router', 'inference', 'tasks', 'facade', 'observability'];

const READERS: readonly (readonly [(values: unknown) => boolean, (values: never, file: string) => ForeignConfig])[] = [
  [(values) => isFields(values) && isTiered(values), readTieredGateway],
  [(values) => isFields(values) && isChatServer(values), readChatServer],
  [isKeyStore, readKeyStore],
];

/** Whether a text is a configuration of one of the systems that can be imported, by its shape. */
export function isForeignConfig(text: string): boolean {
  return isEnvironment(text) || READERS.some(([isOne]) => isOne(valuesOf(text)));
}

/**
 * Reads a configuration of another system: `config.json` with keys and users, `.env` of a task queue, `config.yaml` with tiers,
 * a JSON file of keys by user. Its shape tells which.
 *
 * @throws ConfigError that names the file and the field, never a value.
 */
export function readForeignConfig(file: string, text: string): ForeignConfig {
  if (isEnvironment(text)) return readEnvironment(parseEnv(text));
  const values = valuesOf(text);
  for (const [isOne, read] of READERS) if (isOne(values)) return read(values as never, file);
  throw new ConfigError(
    `${file}: is none of what can be imported: config.json with api_keys and users, .env with API_KEYS, config.yaml with vllm and api_keys, or a JSON file of keys by user`,
  );
}

/**
 * The sections of several files as one.
 *
 * @throws ConfigError for a field that two files set.
 */
export function joinSections(a: Fields, b: Fields, path = ''): Fields {
  const joined: Record<string, unknown> = { ...a };
  for (const [name, value] of Object.entries(b)) {
    const before = joined[name];
    if (before === undefined) joined[name] = value;
    else if (Array.isArray(before) && Array.isArray(value)) joined[name] = [...before, ...value];
    else if (isFields(before) && isFields(value)) joined[name] = joinSections(before, value, `${path}${name}.`);
    else if (before !== value)
      throw new ConfigError(`${path}${name}: two of the imported files set it; import one at a time`);
  }
  return joined;
}

function readChatServer(values: Fields, file: string): ForeignConfig {
  const { api_keys: keys = [], users = {}, model_name: model, max_tokens, temperature, ...rest } = values;
  if (!isTexts(keys)) throw new ConfigError(`${file}: api_keys: expected a list of keys`);
  if (!isFields(users) || !isTexts(Object.values(users))) {
    throw new ConfigError(`${file}: users: expected a bcrypt hash for each name`);
  }
  const chat = defined({ max_tokens, temperature });
  return {
    keys: keys.map((key) => ({ key, userId: '', tier: 'standard' })),
    users: Object.entries(users).map(([name, hash]) => ({ name, passwordHash: String(hash) })),
    sections: {
      ...(typeof model === 'string' ? { inference: { models: [modelFields('vllm', model)] } } : {}),
      ...(Object.keys(chat).length > 0 ? { facade: { chat } } : {}),
    },
    notes: [
      ...(typeof model === 'string'
        ? [`${file}: model_name: written as a model of engine vllm; change it where another ran it`]
        : []),
      ...leftOut(file, Object.keys(rest)),
    ],
  };
}

function readTieredGateway(values: Fields, file: string): ForeignConfig {
  const { server = {}, vllm = {}, api_keys: keys = {}, rate_limits: tiers = {}, ...rest } = values;
  for (const [name, value] of Object.entries({ server, vllm, api_keys: keys, rate_limits: tiers })) {
    if (!isFields(value)) throw new ConfigError(`${file}: ${name}: expected fields`);
  }
  const { host, port, workers, ...restOfServer } = server as Fields;
  const { base_url: url, default_model: model, ...restOfVllm } = vllm as Fields;
  const unknown = [
    ...Object.keys(rest),
    ...Object.keys(restOfServer).map((name) => `server.${name}`),
    ...Object.keys(restOfVllm).map((name) => `vllm.${name}`),
  ];
  return {
    keys: Object.entries(keys as Fields).map(([key, owner], index) => {
      const { user_id: userId = '', tier = 'standard' } = isFields(owner) ? owner : {};
      if (typeof userId !== 'string' || typeof tier !== 'string') {
        throw new ConfigError(`${file}: api_keys (entry ${index + 1}): user_id and tier must be texts`);
      }
      return { key, userId, tier };
    }),
    users: [],
    sections: {
      ...(host === undefined && port === undefined ? {} : { server: defined({ host, port }) }),
      ...(Object.keys(tiers as Fields).length === 0 ? {} : { quota: { tiers } }),
      ...(typeof url === 'string'
        ? {
            inference: { models: [attachedEntry(`${file}: vllm.base_url`, url, model)] },
          }
        : {}),
    },
    notes: [
      ...(workers === undefined
        ? []
        : [`${file}: server.workers: ignored, one process serves all; server.workers of mesh.yaml starts more`]),
      ...leftOut(file, unknown),
    ],
  };
}

function readKeyStore(values: Fields | readonly Fields[], file: string): ForeignConfig {
  const pairs = Array.isArray(values) ? values.map((entry) => [entry.username, entry.api_key]) : Object.entries(values);
  return {
    keys: pairs.map(([userId, key], index) => {
      if (typeof userId === 'string' && typeof key === 'string') return { key, userId, tier: 'standard' };
      throw new ConfigError(`${file}: entry ${index + 1}: expected username and api_key`);
    }),
    users: [],
    sections: {},
    notes: [],
  };
}

function readEnvironment(env: NodeJS.Dict<string>): ForeignConfig {
  const { entries, defaultModel } = environmentModels(env);
  const { API_KEYS: keys = '', LOG_LEVEL: level, HOST: host, PORT: port, REQUIRE_HTTPS: https, ...others } = env;
  const server = {
    ...(host ? { host } : {}),
    ...(port ? { port: Number(port) } : {}),
    ...(https ? { require_https: flagValue(https) } : {}),
  };
  return {
    keys: keys
      .split(',')
      .map((key) => key.trim())
      .filter(Boolean)
      .map((key) => ({ key, userId: '', tier: 'queue' })),
    users: [],
    sections: {
      ...(entries.length > 0 ? { inference: { models: entries.map(({ entry }) => entry) } } : {}),
      // Of one model it is said anyway.
      ...(defaultModel && entries.length > 1 ? { router: { default_model: defaultModel.name } } : {}),
      ...(level ? { observability: { log_level: logLevelName(level) } } : {}),
      ...(Object.keys(server).length > 0 ? { server } : {}),
    },
    notes: leftOut(
      '.env',
      Object.keys(others).filter((name) => !MODEL_VARIABLES.includes(name)),
    ),
  };
}

function leftOut(file: string, fields: readonly string[]): string[] {
  return fields.length === 0 ? [] : [`${file}: not taken over: ${fields.join(', ')}`];
}

function valuesOf(text: string): unknown {
  try {
    return parse(text);
  } catch {
    // Whoever reads it as our own file says where it is wrong.
    return undefined;
  }
}

function isEnvironment(text: string): boolean {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#'));
  return lines.length > 0 && lines.every((line) => /^\s*(?:export\s+)?[A-Z][A-Z0-9_]*\s*=/.test(line));
}

function isTiered(values: Fields): boolean {
  if (isOwn(values)) return false;
  return 'vllm' in values || 'rate_limits' in values || isFields(values.api_keys);
}

function isChatServer(values: Fields): boolean {
  if (isOwn(values)) return false;
  return Array.isArray(values.api_keys) || isFields(values.users) || 'model_name' in values;
}

function isKeyStore(values: unknown): boolean {
  if (Array.isArray(values)) return values.length > 0 && values.every(isFields);
  return isFields(values) && !isOwn(values) && Object.keys(values).length > 0 && isTexts(Object.values(values));
}

function isOwn(values: Fields): boolean {
  return OWN_SECTIONS.some((section) => section in values);
}

function isTexts(values: unknown): values is readonly string[] {
  return Array.isArray(values) && values.every((value) => typeof value === 'string');
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function defined(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
