import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { Health } from '../gen/grpc/health/v1/health_pb.ts';
import { AuthService } from '../gen/mesh/auth/v1/auth_service_pb.ts';
import { InferenceService } from '../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../gen/mesh/router/v1/router_service_pb.ts';
import { TasksService } from '../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { authorizationTable } from './auth/authorization-table.ts';
import { type AuthContext, createAuthContext, ensureAdminKey, requireStrongKeys } from './auth/context.ts';
import { requireOwnPasswords } from './auth/default-passwords.ts';
import { authRoutes } from './auth/routes.ts';
import type { Config } from './config.ts';
import type { FacadeContext } from './facade/context.ts';
import type { InferenceConfig } from './inference/config.ts';
import type { InferenceContext } from './inference/context.ts';
import { describeWhenSettled } from './inference/describe-when-settled.ts';
import { STOP_LIMIT_MS } from './inference/supervisor/supervisor-limits.ts';
import type { Terminal } from './inference/weights/progress.ts';
import { advertisedUrl, listenerSettings } from './listener-settings.ts';
import { openMetrics, type ProcessMetrics } from './metrics.ts';
import type { Observability } from './observability.ts';
import { openWatchedStore } from './open-store.ts';
import { readPeppers } from './peppers.ts';
import { tierNames } from './quota/config.ts';
import { createQuotaContext } from './quota/context.ts';
import { namedSubjects } from './quota/named-subjects.ts';
import { quotaRoutes } from './quota/routes.ts';
import { createRouterContext, type RouterContext } from './router/context.ts';
import { fleetRoutes, routerRoutes } from './router/routes.ts';
import { createHealth, type HealthState } from './shared/grpc/health.ts';
import { isServing } from './shared/grpc/health-check.ts';
import { type Authorizer, createAuthorizer, credentialMissing } from './shared/interceptors/authorize.ts';
import { httpsRuleOf } from './shared/interceptors/https-rule.ts';
import { createVouching, type Vouching } from './shared/interceptors/on-behalf-of.ts';
import { createPrincipals, type Principals } from './shared/interceptors/principals.ts';
import { type Closer, createCloser } from './shared/lifecycle/closer.ts';
import { ConfigError } from './shared/lifecycle/config-source.ts';
import { readSecret, writeSecret } from './shared/lifecycle/secret-file.ts';
import type { StartSummary } from './shared/lifecycle/start-message.ts';
import { pingStore, type Store } from './shared/store/store.ts';
import type { Generate } from './shared/transport/generate.ts';
import { listenedRoutes } from './shared/transport/listened-routes.ts';
import { type Listener, startListener } from './shared/transport/listener.ts';
import { isLoopbackHost } from './shared/transport/loopback.ts';
import { createPeers, type Peers } from './shared/transport/peers.ts';
import { createProof, type Proof } from './shared/transport/proof.ts';
import { createRemoteNodes } from './shared/transport/remote-nodes.ts';
import { createRemoteRouters } from './shared/transport/remote-routers.ts';
import { KEEPERS, type Role } from './shared/transport/roles.ts';
import { type RouterSource, routerSources } from './shared/transport/router-sources.ts';
import type { Routes } from './shared/transport/routes.ts';
import { takeLeave } from './take-leave.ts';
import { createTasksContext, type TasksContext } from './tasks/context.ts';
import { tasksRoutes } from './tasks/routes.ts';
import { openWorkerPort } from './worker-port.ts';
import type { WorkerResources } from './workers/worker-resources.ts';

/** What a process gives its services. */
export interface MeshResources extends WorkerResources {
  readonly log: Logger;
  readonly observability: Observability;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The Node.js binary that engine children run on. */
  readonly nodePath: string;
  /** Reads one environment variable, for engines. */
  readonly environmentVariable: (name: string) => string | undefined;
  /** Where people see how far a download is. */
  readonly terminal: Terminal;
  /** Ends a start that still waits for models. */
  readonly stop: AbortSignal;
}

/** A running process of the mesh. */
export interface Mesh {
  /** What to tell the person who started it, as soon as every engine is ready or known to have trouble. */
  summary(): Promise<StartSummary>;
  /** Refuses new work, gives running streams their time, and closes everything in reverse order. */
  stop(): Promise<void>;
}

/** What the steps of a start share. */
interface Parts {
  readonly config: Config;
  readonly resources: MeshResources;
  readonly closer: Closer;
  readonly health: HealthState;
  readonly proof: Proof;
  readonly principals: Principals;
  readonly authorizer: Authorizer;
  readonly peers: Peers;
  /** Verifies what processes sign when they act for callers. */
  readonly vouching: Vouching;
  readonly metrics: ProcessMetrics;
  /** The services that run here, filled role by role. */
  readonly local: Map<Role, Routes[]>;
}

/** How long settlements may take at the end, in milliseconds; what is left then is settled when its lease expires. */
const SETTLE_MS = 10_000;

/**
 * Builds the services that this process runs, and listens.
 *
 * @throws ConfigError, TemporaryError, PortUnavailable, MeshError STORE_UNAVAILABLE, or the reason of `stop`; what was opened
 * is closed again.
 */
export async function composeMesh(config: Config, resources: MeshResources): Promise<Mesh> {
  const closer = createCloser(resources.log);
  try {
    return await compose(config, resources, closer);
  } catch (error) {
    await closer.close();
    throw error;
  }
}

async function compose(config: Config, resources: MeshResources, closer: Closer): Promise<Mesh> {
  const dataDir = config.server.data_dir;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const { roles } = config;
  // Before anything is opened: it may take an hour, and a model that cannot be had ends the start.
  const inferenceConfig = roles.has('inference') ? await configureInference(config, resources) : undefined;
  const parts = createParts(config, resources, closer);

  const store = KEEPERS.some((role) => roles.has(role))
    ? await openWatchedStore(config, { ...parts, ...resources })
    : undefined;
  const adminKeyPath = store && roles.has('auth') ? await addAuth(parts, store) : undefined;
  if (store && roles.has('quota')) addQuota(parts, store);
  const inference = inferenceConfig ? await addInference(parts, inferenceConfig) : undefined;
  const router = roles.has('router') ? addRouter(parts, inference?.generate) : undefined;
  const tasks = store && roles.has('tasks') ? addTasks(parts, store, router) : undefined;
  await parts.metrics.openPort(parts);
  await openWorkerPort(resources, { ...parts, ...config });
  const listener = await addListener(parts, store, router);
  addRevocationWatch(parts, listener, router);
  await resources.workers?.start();
  if (inference) {
    // Closed before the port: who watches the engines sees them stop.
    closer.add('engines', () => inference.close(), STOP_LIMIT_MS);
    inference.start();
  }
  if (tasks) {
    // Before the port too: who watches a task is told to look elsewhere.
    closer.add('tasks', () => tasks.close());
    tasks.start();
  }

  return {
    async summary() {
      const engines = inference ? await describeWhenSettled(inference) : [];
      return { url: listener.url, roles: [...roles], engines, adminKeyPath, isPublic: roles.has('facade') };
    },
    async stop() {
      await takeLeave({ ...parts, ...resources, roles, inference, listener, router, tasks });
      await closer.close();
    },
  };
}

/** Verified callers are cached wherever auth can be asked, so revocations must be heard there. */
function addRevocationWatch(
  { config, closer, principals }: Parts,
  listener: Listener,
  router: RouterContext | undefined,
): void {
  if (!config.roles.has('auth') && !config.peers.has('auth')) return;
  const close = principals.watch((revocation) => {
    router?.cut(revocation);
    listener.cut(revocation);
  });
  closer.add('revocation watch', close);
}

function createParts(config: Config, resources: MeshResources, closer: Closer): Parts {
  const { log, now } = resources;
  const meshToken =
    config.server.mesh_token ?? readSecret(join(config.server.data_dir, 'mesh.token'), { create: true });
  const local = new Map<Role, Routes[]>();
  const principals = createPrincipals({
    ...{ auth: () => peers.client('auth', AuthService), now, log },
    boundToLoopback: isLoopbackHost(config.server.host),
  });
  const { authenticate, revalidate } = principals;
  const vouching = createVouching(meshToken, now);
  const onBehalfOf = { vouching, revalidate };
  const proof = createProof({ meshToken, files: config.server.mesh_tls, roles: config.roles, log });
  closer.add('certificates', () => proof.meshTls?.close());
  const table = authorizationTable;
  const authorizer = createAuthorizer({ table, authenticate, onBehalfOf, meshToken: proof.meshToken });
  const peers = createPeers({ ...proof, local, remote: config.peers, authorizer, vouching });
  closer.add('peers', () => peers.close());
  const metrics = openMetrics(config, { ...resources, authenticate });
  return {
    ...{ config, resources, closer, metrics, proof },
    health: createHealth(),
    principals,
    authorizer,
    peers,
    vouching,
    local,
  };
}

/** Returns where the first admin key lies when it was made from this data directory. */
async function addAuth({ config, resources, closer, local }: Parts, store: Store): Promise<string | undefined> {
  const { log, now } = resources;
  const dataDir = config.server.data_dir;
  const { environmentKeys } = config;
  const tiers = tierNames(config.quota);
  const parts = { store, ...readPeppers(config), now, log, tiers, environmentKeys };
  const context = createAuthContext(config.auth, parts);
  closer.add('auth', () => context.close());
  if (!isLoopbackHost(config.server.host) && !config.auth.allow_weak_keys) {
    await requireStrongKeys(context);
    await requireOwnPasswords(config.auth.users.map((user) => ({ ...user, passwordHash: user.password_hash })));
  }
  await requireLimitedCallers(config, context);
  local.set('auth', [authRoutes(context)]);
  const adminKeyPath = join(dataDir, 'admin.key');
  const created = await ensureAdminKey(context);
  if (created) writeSecret(adminKeyPath, created.secret);
  return created || existsSync(adminKeyPath) ? adminKeyPath : undefined;
}

/** A limit of somebody who is not there matches nothing. Who exists only the store knows. */
async function requireLimitedCallers({ quota, originOf }: Config, { knowsSubject }: AuthContext): Promise<void> {
  for (const { scope, subject, path } of namedSubjects(quota)) {
    if (scope === 'model' || scope === 'engine' || (await knowsSubject(scope, subject))) continue;
    throw new ConfigError(
      `${originOf(path)}: ${path.join('.')}: there is no ${scope} '${subject}', so this limit matches nothing; make it first, or set its limits with QuotaService.SetLimits`,
    );
  }
}

function addQuota({ config, resources, closer, local, metrics }: Parts, store: Store): void {
  const { log, now } = resources;
  const context = createQuotaContext(config.quota, { store, now, log, ...metrics });
  closer.add('quota', () => context.close());
  local.set('quota', [quotaRoutes(context)]);
}

/** Like the facade it is loaded only where it runs: together they are a seventh of a start, and 15 MB. */
async function addInference(parts: Parts, inferenceConfig: InferenceConfig): Promise<InferenceContext> {
  const { config, resources, closer, local, health } = parts;
  const { createInferenceContext } = await import('./inference/context.ts');
  const { inferenceRoutes } = await import('./inference/routes.ts');
  const context = createInferenceContext(inferenceConfig, {
    ...{ ...resources, ...parts.metrics },
    routers: routersOf(parts),
    dataDir: config.server.data_dir,
    unloadDrainMs: config.server.drain_seconds * 1_000,
  });
  // For a start that fails from here on, in which no engine runs yet.
  closer.add('inference', () => context.close());
  local.set('inference', [inferenceRoutes(context)]);
  health.set(InferenceService.typeName, true);
  return context;
}

function routersOf({ config, resources, closer, peers, proof }: Parts): RouterSource[] {
  const remote = createRemoteRouters(proof);
  closer.add('registrations', () => remote.close());
  return routerSources({
    here: config.roles.has('router') ? peers.client('router', RegistryService) : undefined,
    ...{ routers: config.routers, remote, host: config.bindHost, port: config.port, log: resources.log },
    address: advertisedUrl({ ...config.server, host: config.bindHost }, config.port),
  });
}

function addRouter(
  { config, resources, closer, principals, peers, vouching, local, proof, health, metrics }: Parts,
  here: Generate | undefined,
): RouterContext {
  const remote = createRemoteNodes(proof);
  const inference = peers.client('inference', InferenceService);
  closer.add('nodes', () => remote.close());
  const context = createRouterContext(config.router, {
    ...{ ...resources, ...metrics },
    quota: peers.client('quota', QuotaService),
    authenticate: async ({ credential, onBehalfOf, clientIp }) => {
      if (onBehalfOf) return await principals.revalidate(onBehalfOf.principal, clientIp);
      if (credential === undefined) throw credentialMissing();
      return await principals.authenticate(credential, clientIp);
    },
    generateAt: (address) => (here && address === '' ? here : remote.generateAt(address)),
    inferenceAt: (address) => (here && address === '' ? inference : remote.clientAt(address)),
  });
  closer.add('router', () => context.close(), SETTLE_MS);
  local.set('router', [routerRoutes(context, vouching), fleetRoutes(context)]);
  health.set(RouterService.typeName, true);
  health.set(RegistryService.typeName, true);
  return context;
}

function addTasks(parts: Parts, store: Store, router: RouterContext | undefined): TasksContext {
  const { config, resources, peers, local } = parts;
  const context = createTasksContext(config.tasks, {
    ...{ ...resources, ...parts.metrics },
    store,
    quota: peers.client('quota', QuotaService),
    router: peers.client('router', RouterService),
    generate: router?.generate ?? peers.routerGenerate,
  });
  local.set('tasks', [tasksRoutes(context)]);
  return context;
}

async function addListener(
  parts: Parts,
  store: Store | undefined,
  router: RouterContext | undefined,
): Promise<Listener> {
  const { config, resources, closer, health, authorizer, proof } = parts;
  const isPublic = config.roles.has('facade');
  const facade = isPublic ? await addFacade(parts, store, router, () => listener) : undefined;
  const listener: Listener = await startListener({
    ...listenerSettings(config.server, isPublic, resources.log, config.bindHost),
    port: config.port,
    routes: listenedRoutes({ ...parts, roles: config.roles, table: authorizationTable }),
    authorizer,
    health,
    log: resources.log,
    requestLog: resources.observability.requestLog,
    fallback: facade?.handle ?? parts.metrics.handle,
    meshTls: proof.meshTls,
    idleWriteMs: config.router.idle_write_seconds * 1_000,
  });
  closer.add('listener', () => listener.close());
  health.set('', true);
  return listener;
}

async function addFacade(
  { config, resources, closer, principals, peers, metrics }: Parts,
  store: Store | undefined,
  router: RouterContext | undefined,
  port: () => Listener,
): Promise<FacadeContext> {
  const storeKind = config.redisUrl === undefined ? 'sqlite' : 'redis';
  const answers: (() => Promise<boolean>)[] = store ? [() => pingStore(store)] : [];
  for (const [role, service] of [['auth', AuthService] as const, ['quota', QuotaService] as const]) {
    // Those that keep things elsewhere are asked: without them nobody can be served.
    const health = peers.client(role, Health);
    if (!config.roles.has(role)) answers.push(() => isServing(health, service.typeName));
  }
  const { createFacadeContext } = await import('./facade/context.ts');
  const context = await createFacadeContext(config.facade, {
    ...{ ...resources, ...metrics },
    trustedProxies: config.server.trusted_proxies,
    httpsRule: httpsRuleOf(config.server),
    generate: router?.generate ?? peers.routerGenerate,
    authenticate: principals.authenticate,
    router: peers.client('router', RouterService),
    registry: peers.client('router', RegistryService),
    inference: peers.client('router', InferenceService),
    auth: peers.client('auth', AuthService),
    tasks: peers.client('tasks', TasksService),
    quota: peers.client('quota', QuotaService),
    isLeaving: () => port().leaving,
    isDraining: (request) => port().refuses(request),
    awaitsWorkers: () => resources.asWorker?.isComplete() === false,
    health: async () => ({
      storeKind,
      storeAnswers: (await Promise.all(answers.map((answer) => answer()))).every(Boolean),
    }),
  });
  closer.add('facade', () => context.close());
  return context;
}

async function configureInference(config: Config, resources: MeshResources): Promise<InferenceConfig> {
  const { withDefaultModel } = await import('./inference/shipped-model.ts');
  const { withLocalModels } = await import('./inference/weights/local-models.ts');
  return await withLocalModels(withDefaultModel(config.inference, config.model), {
    ...resources,
    dataDir: config.server.data_dir,
    signal: resources.stop,
    originOf: ({ name, model }) => (model === config.model ? '--model' : `inference.models '${name}':`),
  });
}
