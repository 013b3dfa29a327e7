import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import type { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import type { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import type { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Authenticate } from '../shared/interceptors/authorize.ts';
import { createClientIp } from '../shared/interceptors/client-ip.ts';
import type { HttpsRule } from '../shared/interceptors/https-rule.ts';
import { Roster } from '../shared/lifecycle/roster.ts';
import type { Metrics } from '../shared/observability/metrics.ts';
import type { ReadMetrics } from '../shared/observability/metrics-reader.ts';
import type { NodeRequest } from '../shared/transport/exchange.ts';
import type { Generate } from '../shared/transport/generate.ts';
import { notedGenerate } from '../shared/transport/noted-generate.ts';
import { createTellsLogprobs } from './compat/tells-logprobs.ts';
import type { FacadeConfig } from './config.ts';
import { createApp } from './http/app.ts';
import { createHttpMetrics } from './http/http-metrics.ts';
import { createLimitBook } from './http/limit-book.ts';
import { createSendError } from './http/send-error.ts';
import type { Exchange } from './openai/exchange.ts';
import { facadeRoutes } from './routes.ts';
import { createFleetView, createModelView } from './status/fleet-view.ts';

/** What the facade is given. */
export interface FacadeResources {
  /** The router's front door. */
  readonly generate: Generate;
  /**
   * Checks a credential before the body of its request is read; cached, so that a known one costs nothing to speak of.
   * Rejects with MeshError CREDENTIAL_INVALID.
   */
  readonly authenticate: Authenticate;
  /** Called on behalf of the caller, with the caller's credential, and as a process of the mesh. */
  readonly router: Client<typeof RouterService>;
  /** Called as a process of the mesh. */
  readonly registry: Client<typeof RegistryService>;
  /** The engines of all nodes. Called on behalf of the caller, with the caller's credential. */
  readonly inference: Client<typeof InferenceService>;
  /** Called on behalf of the caller, with the caller's credential where there is one. */
  readonly auth: Client<typeof AuthService>;
  /** Called on behalf of the caller, with the caller's credential. */
  readonly tasks: Client<typeof TasksService>;
  /** Called on behalf of the caller, with the caller's credential. */
  readonly quota: Client<typeof QuotaService>;
  /** The state of the store. */
  readonly health: () => Promise<{ storeKind: 'sqlite' | 'redis'; storeAnswers: boolean }>;
  /** Whether callers are told to go elsewhere. */
  readonly isLeaving: () => boolean;
  /** Whether a request is refused if it is new work. */
  readonly isDraining: (request: NodeRequest) => boolean;
  /** Whether one of the processes that share the port has never been ready yet: then nobody is sent here. */
  readonly awaitsWorkers: () => boolean;
  /** Addresses and networks (CIDR) whose `X-Forwarded-For` is believed, besides loopback. */
  readonly trustedProxies: readonly string[];
  /** Which requests are refused because they came over HTTP. Unset: none. */
  readonly httpsRule?: HttpsRule | undefined;
  /** Where requests are counted. Unset: nowhere. */
  readonly metrics?: Metrics | undefined;
  /** What callers who ask for metrics get. */
  readonly readMetrics: ReadMetrics;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/** The HTTP side of the mesh, without a listener. */
export interface FacadeContext {
  /** Answers one request, from `node:http` or from the compatibility API of `node:http2`. */
  handle(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void;
  /** Ends what still runs with SHUTTING_DOWN and frees everything. */
  close(): Promise<void>;
}

/**
 * Builds the facade.
 *
 * @throws Error for a trusted proxy that is no address.
 */
export async function createFacadeContext(config: FacadeConfig, resources: FacadeResources): Promise<FacadeContext> {
  const { quota, now, log, isDraining } = resources;
  const exchanges = new Roster<Exchange>();
  const clientIp = createClientIp(resources.trustedProxies);
  const limitBook = createLimitBook({ quota, clientIp, now });
  const httpMetrics = resources.metrics && createHttpMetrics(resources.metrics.registry);
  const app = createApp({
    body: { maxBytes: config.max_body_bytes, timeoutMs: config.body_timeout_seconds * 1000 },
    sendError: createSendError(limitBook, log),
    authenticate: resources.authenticate,
    clientIp,
    isPlainRefused: resources.httpsRule ?? (() => false),
    isDraining,
    observers: httpMetrics ? [httpMetrics] : [],
  });
  const fleetView = createFleetView(resources.registry, now);
  facadeRoutes(app, {
    ...resources,
    generate: notedGenerate(resources.generate),
    limitBook,
    exchanges,
    clientIp,
    onOverhead: (overheadMs) => httpMetrics?.overhead(overheadMs),
    keepAliveMs: config.keep_alive_seconds * 1000,
    chatDefaults: config.chat,
    queueDefaults: { maxTokens: config.queue_max_tokens, temperature: config.queue_temperature },
    fleetView,
    tellsLogprobs: createTellsLogprobs(fleetView, createModelView(resources.router, now)),
  });
  await app.ready();
  return {
    handle: (request, response) => {
      // The compatibility API of node:http2 has the members that Fastify and the facade use.
      app.routing(request as IncomingMessage, response as ServerResponse);
    },
    close: async () => {
      const reason = new MeshError('SHUTTING_DOWN', 'This server is shutting down. Send the request again.');
      for (const exchange of exchanges) exchange.abort(reason);
      await app.close();
    },
  };
}
