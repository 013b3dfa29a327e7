import { existsSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { z } from 'zod';
import { authConfigSchema, namedTiers } from './auth/config.ts';
import { isWeakKey } from './auth/key-strength.ts';
import { addEnvironmentModels } from './environment-models.ts';
import { facadeConfigSchema } from './facade/config.ts';
import { parseFlags } from './flags.ts';
import { isForeignConfig } from './foreign-config.ts';
import { inferenceConfigSchema } from './inference/config.ts';
import { SHIPPED_NAME } from './inference/shipped-model.ts';
import { ADDRESS_FORM, isAddress, parseAddress } from './inference/weights/address.ts';
import { HUB_REFERENCE_FORM, isHubReference, parseHubReference } from './inference/weights/reference.ts';
import { observabilityConfigSchema, requireOwnMetricsPort, withAbsoluteLogDir } from './observability-config.ts';
import { readPeerAddresses } from './peer-addresses.ts';
import { quotaConfigSchema, tierNames } from './quota/config.ts';
import { namedSubjects } from './quota/named-subjects.ts';
import { routerConfigSchema } from './router/config.ts';
import { requireCertificatePair, serverConfigSchema, withAbsolutePaths } from './server-config.ts';
import { ConfigError, parseConfigFile, type Source, validate } from './shared/lifecycle/config-source.ts';
import { flagValue } from './shared/lifecycle/flag-value.ts';
import { logLevelName } from './shared/observability/logger.ts';
import { isLoopbackHost } from './shared/transport/loopback.ts';
import { ROLES, type Role } from './shared/transport/roles.ts';
import { tasksConfigSchema } from './tasks/config.ts';
import { overrideTraces } from './traces-config.ts';
import { requireWorkable } from './workers/worker-plan.ts';

const fileSchema = z.strictObject({
  server: serverConfigSchema.prefault({}),
  auth: authConfigSchema.prefault({}),
  quota: quotaConfigSchema.prefault({}),
  router: routerConfigSchema.prefault({}),
  inference: inferenceConfigSchema.prefault({}),
  tasks: tasksConfigSchema.prefault({}),
  facade: facadeConfigSchema.prefault({}),
  observability: observabilityConfigSchema.prefault({}),
});

/** Everything that a process is told, validated. */
export interface Config extends Readonly<z.output<typeof fileSchema>> {
  /** Which services run here. */
  readonly roles: ReadonlySet<Role>;
  /** The one port; 0 picks a free one. */
  readonly port: number;
  /** What the port is bound to: `server.host`; in the process that has workers, an address for the mesh itself. */
  readonly bindHost: string;
  /** A GGUF path, a reference to a Hugging Face hub, "none", or undefined for the model that ships. */
  readonly model: string | undefined;
  /** Where roles run that are not local. */
  readonly peers: ReadonlyMap<Role, string>;
  /** The routers elsewhere that engines of this process are announced to. */
  readonly routers: readonly string[];
  /** The shared store. Unset: SQLite in the data directory. */
  readonly redisUrl: string | undefined;
  /** The file with the secret that keys are hashed with. Unset: made in the data directory. */
  readonly pepperFile: string | undefined;
  /** Files of peppers before it; what they hashed still counts. */
  readonly olderPepperFiles: readonly string[];
  /** Validate, print and leave. */
  readonly checkOnly: boolean;
  /** Keys of API_KEYS in the clear; auth hashes them at once. */
  readonly environmentKeys: readonly string[];
  /** Configurations of other systems to take over instead of starting. */
  readonly imports: readonly string[];
  /** Where a field stands, e.g. "mesh.yaml:4", for what is found wrong with it later. */
  readonly originOf: (path: readonly string[]) => string;
}

/** Default port of a process that does not run the facade, by its first role. */
const ROLE_PORTS: Readonly<Record<Role, number>> = {
  auth: 7001,
  quota: 7002,
  router: 7003,
  inference: 7004,
  tasks: 7005,
  facade: 8000,
};

/**
 * Reads flags, environment and file, in this order of precedence.
 *
 * @throws ConfigError with the file, line and field, the flag or the variable that is wrong.
 */
export function loadConfig(argv: readonly string[], env: NodeJS.ProcessEnv, workingDirectory: string): Config {
  requireCertificatePair(env);
  const flags = parseFlags(argv);
  const fileName =
    flags.config ?? env.MESH_CONFIG ?? (existsSync(resolve(workingDirectory, 'mesh.yaml')) ? 'mesh.yaml' : undefined);
  const source = readSource(fileName, workingDirectory);
  source.override(['server', 'host'], { '--host': flags.host, MESH_HOST: env.MESH_HOST });
  source.override(['server', 'port'], { '--port': flags.port, MESH_PORT: env.MESH_PORT, PORT: env.PORT }, Number);
  source.override(['server', 'data_dir'], { '--data-dir': flags['data-dir'], MESH_DATA_DIR: env.MESH_DATA_DIR });
  source.override(['server', 'roles'], { '--roles': flags.roles, MESH_ROLES: env.MESH_ROLES }, parseRoles);
  source.override(['server', 'workers'], { MESH_WORKERS: env.MESH_WORKERS }, Number);
  source.override(['server', 'mesh_token'], { MESH_TOKEN: env.MESH_TOKEN });
  source.override(['server', 'tls'], { MESH_TLS_CERT: env.MESH_TLS_CERT }, (cert) => ({ cert, key: env.MESH_TLS_KEY }));
  source.override(
    ['observability', 'log_level'],
    { '--log-level': flags['log-level'], LOG_LEVEL: env.LOG_LEVEL },
    logLevelName,
  );
  source.override(['observability', 'log_dir'], { '--log-dir': flags['log-dir'], MESH_LOG_DIR: env.MESH_LOG_DIR });
  source.override(['observability', 'metrics_port'], { METRICS_PORT: env.METRICS_PORT }, Number);
  overrideTraces(source, env);
  source.override(['auth', 'allow_weak_keys'], { MESH_ALLOW_WEAK_KEYS: env.MESH_ALLOW_WEAK_KEYS }, flagValue);
  source.override(['server', 'require_https'], { REQUIRE_HTTPS: env.REQUIRE_HTTPS }, flagValue);
  source.override(['tasks', 'time_limit_seconds'], { TASK_TIME_LIMIT: env.TASK_TIME_LIMIT }, Number);
  source.override(['facade', 'queue_max_tokens'], { MAX_NEW_TOKENS: env.MAX_NEW_TOKENS }, Number);
  source.override(['facade', 'queue_temperature'], { TEMPERATURE: env.TEMPERATURE }, Number);
  addEnvironmentModels(source, env);

  const sections = validate(fileSchema, source);
  const roles = new Set(sections.server.roles === 'all' ? ROLES : sections.server.roles);
  const config: Config = {
    ...sections,
    server: withAbsolutePaths(sections.server, workingDirectory),
    observability: withAbsoluteLogDir(sections.observability, workingDirectory),
    roles,
    port: sections.server.port ?? defaultPort(roles),
    bindHost: sections.server.host,
    model: flags.model ?? env.MESH_MODEL,
    ...readPeerAddresses(env),
    redisUrl: env.REDIS_URL || undefined,
    pepperFile: env.MESH_PEPPER_FILE || undefined,
    olderPepperFiles: (env.MESH_OLDER_PEPPER_FILES ?? '').split(',').flatMap((path) => path.trim() || []),
    checkOnly: flags['check-config'] ?? false,
    environmentKeys: readKeys(env.API_KEYS),
    imports: flags.import ?? [],
    originOf: (path) => source.origin(path),
  };
  requirePossible(config);
  requireTiers(config, source);
  requireModels(config, source);
  requireLimitedModels(config, source);
  return Object.freeze(config);
}

/**
 * Validates the text of a configuration file that is to be written, and tells what comes of it: the bind address and the
 * tiers.
 *
 * @throws ConfigError with the field that is wrong.
 */
export function checkSections(text: string, { server, quota }: Config): { host: string; tiers: ReadonlySet<string> } {
  if (text === '') return { host: server.host, tiers: tierNames(quota) };
  const sections = validate(fileSchema, parseConfigFile('the imported settings', text));
  return { host: sections.server.host, tiers: tierNames(sections.quota) };
}

function readSource(fileName: string | undefined, workingDirectory: string): Source {
  if (fileName === undefined) return parseConfigFile('the configuration', '');
  try {
    const text = readFileSync(resolve(workingDirectory, fileName), 'utf8');
    if (isForeignConfig(text)) {
      throw new ConfigError(
        `${fileName}: is the configuration of another system; take it over with: npm start -- --import ${fileName}`,
      );
    }
    return parseConfigFile(fileName, text);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${fileName}: cannot be read (${error instanceof Error ? error.message : String(error)})`);
  }
}

function readKeys(text = ''): string[] {
  const keys = text.split(',').map((key) => key.trim());
  const bad = keys.findIndex((key) => !/^[\x21-\x7e]*$/.test(key));
  if (bad >= 0) throw new ConfigError(`API_KEYS: no header can carry key ${bad + 1}`);
  return [...new Set(keys.filter(Boolean))];
}

function parseRoles(text: string): unknown {
  return text === 'all' ? 'all' : text.split(',').map((role) => role.trim());
}

function defaultPort(roles: ReadonlySet<Role>): number {
  const first = roles.has('facade') ? 'facade' : ROLES.find((role) => roles.has(role));
  return ROLE_PORTS[first ?? 'facade'];
}

/** Which roles call which others; a peer that is neither here nor named cannot work. */
const NEEDS: Readonly<Record<Role, readonly Role[]>> = {
  auth: [],
  quota: ['auth'],
  router: ['auth', 'quota'],
  inference: ['auth', 'router'],
  tasks: ['auth', 'quota', 'router'],
  facade: ['auth', 'quota', 'router', 'tasks'],
};

function requirePossible(config: Config): void {
  requireEncrypted(config);
  requirePeers(config);
  requireStore(config);
  requireAddress(config);
  requireWorkable(config);
  requireStrongKeys(config);
  requireOwnMetricsPort(config.observability, config.port);
}

function requireStrongKeys({ roles, server, auth, environmentKeys }: Config): void {
  if (!roles.has('auth') || isLoopbackHost(server.host) || auth.allow_weak_keys) return;
  const weak = environmentKeys.filter(isWeakKey).length;
  if (weak === 0) return;
  throw new ConfigError(
    `API_KEYS: ${weak} of the keys can be guessed (less than 128 bits), and server.host is no loopback address: make new ones, or set auth.allow_weak_keys or MESH_ALLOW_WEAK_KEYS=1`,
  );
}

/** With mutual TLS no process talks to another without it; an address that says otherwise is a mistake. */
function requireEncrypted({ server, peers, routers }: Config): void {
  if (!server.mesh_tls) return;
  for (const [role, url] of [...peers, ...routers.map((router) => ['router', router] as const)]) {
    if (/^(dns\+)?https:/.test(url)) continue;
    throw new ConfigError(`MESH_PEER_${role.toUpperCase()}: must be https://host:port, since server.mesh_tls is set`);
  }
  if (server.advertise_url?.startsWith('http:')) {
    throw new ConfigError('server.advertise_url: must be https://host:port, since server.mesh_tls is set');
  }
}

/** Routers elsewhere must be told an address that leads here. */
function requireAddress({ roles, server, port, routers }: Config): void {
  const isAnnounced = routers.length > 0 || !roles.has('router');
  if (!roles.has('inference') || !isAnnounced || server.advertise_url !== undefined) return;
  if (port === 0 || ['0.0.0.0', '::'].includes(server.host)) {
    throw new ConfigError(
      'server.advertise_url: must say where routers reach this process when it binds all addresses or a free port',
    );
  }
}

function requirePeers(config: Config): void {
  if (config.routers.length > 1 && config.roles.has('facade') && !config.roles.has('router')) {
    throw new ConfigError(
      'MESH_PEER_ROUTER: a facade without a router of its own calls one router; name one, or run the role router beside it',
    );
  }
  for (const role of config.roles) {
    for (const needed of NEEDS[role]) {
      if (config.roles.has(needed) || config.peers.has(needed)) continue;
      throw new ConfigError(
        `role '${role}' needs role '${needed}': add it to MESH_ROLES or say where it runs with MESH_PEER_${needed.toUpperCase()}`,
      );
    }
  }
}

function requireStore(config: Config): void {
  if (config.redisUrl !== undefined && !/^rediss?:\/\/[^/]/.test(config.redisUrl)) {
    throw new ConfigError('REDIS_URL: expected redis://host:port or rediss://host:port');
  }
  if (config.redisUrl && config.pepperFile === undefined && config.roles.has('auth')) {
    throw new ConfigError(
      'MESH_PEPPER_FILE: must name a file of at least 32 bytes when REDIS_URL is set, the same for every process',
    );
  }
  if (!config.redisUrl && config.roles.size < ROLES.length && config.roles.has('auth') !== config.roles.has('quota')) {
    // One SQLite file has one writer process; splitting the store's owners needs the shared store.
    throw new ConfigError('REDIS_URL: must be set when auth and quota run in different processes');
  }
}

/** Where a configured name can be checked at all, a default or an alias that nothing serves is a mistake. */
function requireModels(config: Config, source: Source): void {
  const { model } = config;
  if (model !== undefined && model !== 'none') requireModelForm(model);
  const known = knownModels(config);
  if (!known || config.inference.models.length === 0) return;
  const { aliases, fallbacks, weights } = config.router;
  const named = Object.entries(aliases).map(([alias, target]) => ({ path: ['router', 'aliases', alias], target }));
  for (const [model, targets] of Object.entries(fallbacks)) {
    for (const target of [model, ...targets]) named.push({ path: ['router', 'fallbacks', model], target });
  }
  for (const key of Object.keys(weights)) {
    // A model id may have a "/" as well as `<node>/<engine>`.
    const target = known.has(key) ? key : key.slice(key.indexOf('/') + 1);
    named.push({ path: ['router', 'weights', key], target });
  }
  for (const field of ['default_model', 'text2sql'] as const) {
    const target = config.router[field];
    if (target !== undefined) named.push({ path: ['router', field], target });
  }
  for (const { path, target } of named) {
    if (known.has(target)) continue;
    if (path[1] !== 'aliases' && Object.hasOwn(aliases, target)) continue;
    throw new ConfigError(`${source.origin(path)}: ${path.join('.')}: no configured model serves '${target}'`);
  }
}

/** The names and ids of the models that this process serves; undefined: some are known only later, or elsewhere. */
function knownModels({ roles, inference, model }: Config): Set<string> | undefined {
  const entries = inference.models;
  // Models of other processes, the id of a server that is asked for it, and the file that a hub has are known only later.
  if (!roles.has('router') || !roles.has('inference')) return undefined;
  if (entries.length === 0 && model === undefined) return undefined;
  if ([...entries.map((entry) => entry.model), model ?? ''].some(isKnownLater)) return undefined;
  const known = new Set(
    entries.flatMap((entry) => [entry.name, entry.model ?? '', basename(entry.model ?? '', '.gguf')]),
  );
  if (model !== undefined && model !== 'none') known.add(SHIPPED_NAME).add(basename(model, '.gguf'));
  return known;
}

/** A limit of a model or an engine that is not there matches nothing. */
function requireLimitedModels(config: Config, source: Source): void {
  const models = knownModels(config);
  const engines = new Set([SHIPPED_NAME, ...config.inference.models.map(({ name }) => name)]);
  for (const { scope, subject, path } of namedSubjects(config.quota)) {
    const isUnknown =
      scope === 'model'
        ? models && !models.has(subject) && !Object.hasOwn(config.router.aliases, subject)
        : scope === 'engine' && config.roles.has('inference') && !engines.has(subject);
    if (!isUnknown) continue;
    throw new ConfigError(
      `${source.origin(path)}: ${path.join('.')}: there is no ${scope} '${subject}', so this limit matches nothing`,
    );
  }
}

function requireModelForm(model: string): void {
  if (isHubReference(model)) {
    if (parseHubReference(model)) return;
    throw new ConfigError(`--model, MESH_MODEL: expected ${HUB_REFERENCE_FORM}, got ${JSON.stringify(model)}`);
  }
  if (isAddress(model)) {
    if (parseAddress(model)) return;
    // Not quoted: it may hold a password.
    throw new ConfigError(`--model, MESH_MODEL: expected ${ADDRESS_FORM}`);
  }
  if (!existsSync(model)) throw new ConfigError(`--model, MESH_MODEL: no such file: ${model}`);
}

function isKnownLater(model: string | undefined): boolean {
  return model === undefined || isHubReference(model);
}

function requireTiers(config: Config, source: Source): void {
  const known = tierNames(config.quota);
  const priorities = Object.entries({
    'router.queue.tier_priorities': config.router.queue.tier_priorities,
    'tasks.tier_priorities': config.tasks.tier_priorities,
  }).flatMap(([path, tiers]) => Object.keys(tiers).map((tier) => ({ path: `${path}.${tier}`, tier })));
  for (const { path, tier } of [...namedTiers(config.auth), ...priorities]) {
    if (known.has(tier)) continue;
    throw new ConfigError(
      `${source.origin(path.split('.'))}: ${path}: no tier '${tier}'; there are ${[...known].join(', ')}`,
    );
  }
}
