import './fastify-types.ts';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Authenticate } from '../../shared/interceptors/authorize.ts';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { HTTPS_ONLY, type HttpsRule } from '../../shared/interceptors/https-rule.ts';
import { factsOf } from '../../shared/observability/request-facts.ts';
import type { NodeRequest } from '../../shared/transport/exchange.ts';
import { nodeHeaderLookup, requestIdOf } from '../../shared/transport/mesh-headers.ts';
import { type AllowedMethods, createAllowedMethods } from './allowed-methods.ts';
import { type BodyLimits, readJsonBody } from './body.ts';
import { compressAnswer, isCompressible } from './compression.ts';
import { credentialOfRequest } from './credentials.ts';
import { HttpError } from './http-error.ts';
import { type HttpObserver, observeAnswer } from './http-observer.ts';
import type { SendError } from './send-error.ts';
import { traceRequests } from './traced-requests.ts';

/** What the HTTP application needs besides its routes. */
export interface AppOptions {
  readonly body: BodyLimits;
  readonly sendError: SendError;
  /** Rejects with CREDENTIAL_INVALID. Asked before the body of a request is read. */
  readonly authenticate: Authenticate;
  readonly clientIp: (request: AddressedRequest) => string | undefined;
  /** Whether a request is refused because it came over HTTP. */
  readonly isPlainRefused: HttpsRule;
  /** Whether a request is refused if it starts work. */
  readonly isDraining: (request: NodeRequest) => boolean;
  /** Who is told of every request when its answer is over. */
  readonly observers: readonly HttpObserver[];
}

/** Makes the Fastify instance with the rules that hold on every route. It has no listener of its own. */
export function createApp(options: AppOptions): FastifyInstance {
  const { body, sendError, observers } = options;
  const app = Fastify({
    logger: false,
    genReqId: (request) => requestIdOf(nodeHeaderLookup(request.headers)),
    requestIdHeader: false,
    // The listener closes; what still arrives here is answered by the rules of draining.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
    // What comes and goes is held against schemas of our own; without this Fastify loads Ajv, and never asks it.
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 2048 },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, payload, done) => {
    if (request.method !== 'DELETE') return readJsonBody(payload, request.headers, body, done);
    // The path says what is deleted; clients that announce JSON with every request send none here.
    payload.resume();
    done(null, undefined);
  });
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  app.decorateRequest('credential', '');
  app.decorateRequest('enteredAtMs', 0);
  traceRequests(app, options.clientIp);
  const allowed = createAllowedMethods();
  app.addHook('onRoute', ({ method, url, config }) => {
    // What is forgotten must not be open.
    if (!config?.access) throw new Error(`the route ${method} ${url} does not say who may call it`);
    allowed.add(url, method);
  });
  app.addHook('onRequest', (request, reply, done) => {
    request.enteredAtMs = performance.now();
    if (observers.length > 0) observeAnswer(observers, request, reply);
    const facts = factsOf(request.raw);
    if (facts && !request.is404) facts.route = request.routeOptions.config.template;
    reply.header('x-request-id', request.id);
    if (options.isPlainRefused(request.raw)) return done(new HttpError(403, 'https_required', HTTPS_ONLY));
    if (request.is404 && request.method === 'OPTIONS') {
      const methods = allowed.of(request.url);
      if (methods !== undefined) return void reply.code(204).header('allow', methods).send();
    }
    if (request.is404) {
      request.credential = credentialIfClear(request);
      return done(unknownRoute(request, allowed));
    }
    if (request.routeOptions.config.access === 'open') return done(refusalOf(request, options));
    admit(request, options).then(
      () => done(refusalOf(request, options)),
      (error: unknown) => done(error instanceof Error ? error : new Error('not admitted', { cause: error })),
    );
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    if (!isCompressible(request, reply, payload)) return done(null, payload);
    compressAnswer(request, reply, payload).then((sent) => done(null, sent), done);
  });
  return app;
}

/** No route gives Fastify a schema. */
function noCompiler(): never {
  throw new Error('a route has a schema of Fastify; declare it as an endpoint instead');
}

/** Finds out who calls. Costs no turn of the event loop while the credential is known. */
async function admit(request: FastifyRequest, { authenticate, clientIp }: AppOptions): Promise<void> {
  const { keyInUrl = false } = request.routeOptions.config;
  const credential = credentialOfRequest(request.raw, keyInUrl);
  if (credential === undefined && request.routeOptions.config.access === 'known-or-anonymous') return;
  if (credential === undefined) throw new MeshError('CREDENTIAL_MISSING', 'Invalid API key');
  request.credential = credential;
  const caller = await authenticate(credential, clientIp(request.raw));
  const facts = factsOf(request.raw);
  if (facts) facts.principal = caller;
  // The events of a body that broke off meanwhile are over; without them the time for the body would have to pass.
  if (request.raw.socket.destroyed) {
    throw new MeshError('CLIENT_GONE', 'The client left before its request was complete.');
  }
}

/** Where nothing is guarded, an unclear credential is as good as none; a clear one only adds the rate-limit headers. */
function credentialIfClear({ raw }: FastifyRequest): string {
  try {
    return credentialOfRequest(raw, false) ?? '';
  } catch {
    // What is wrong with it would hide that there is no such route.
    return '';
  }
}

/** What speaks against a request of a known caller before its body is read. */
function refusalOf(request: FastifyRequest, { isDraining }: AppOptions): Error | undefined {
  if (!request.routeOptions.config.startsWork || !isDraining(request.raw)) return undefined;
  return new MeshError('SHUTTING_DOWN', 'This server is shutting down. Send the request again, elsewhere or later.');
}

function unknownRoute(request: FastifyRequest, allowed: AllowedMethods): Error {
  const methods = allowed.of(request.url);
  if (methods === undefined) {
    return new MeshError('NOT_FOUND', 'There is no such route. GET / lists the endpoints.', {
      metadata: { kind: 'route' },
    });
  }
  return new HttpError(405, 'method_not_allowed', `This route does not take ${request.method}. Allowed: ${methods}.`, {
    headers: { allow: methods },
  });
}
