import './fastify-types.ts';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { nodeHeaderLookup, requestIdOf } from '../../shared/transport/mesh-headers.ts';
import { type AllowedMethods, createAllowedMethods } from './allowed-methods.ts';
import { type BodyLimits, readJsonBody } from './body.ts';
import { credentialOfRequest } from './credentials.ts';
import { HttpError } from './http-error.ts';
import type { SendError } from './send-error.ts';

/** What the HTTP application needs besides its routes. */
export interface AppOptions {
  readonly body: BodyLimits;
  readonly sendError: SendError;
  readonly isDraining: () => boolean;
}

/** Makes the Fastify instance with the rules that hold on every route. It has no listener of its own. */
export function createApp({ body, sendError, isDraining }: AppOptions): FastifyInstance {
  const app = Fastify({
    logger: false,
    genReqId: (request) => requestIdOf(nodeHeaderLookup(request.headers)),
    requestIdHeader: false,
    // The listener closes; what still arrives here is answered by the rules of draining.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 2048 },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, payload, done) => readJsonBody(payload, request.headers, body, done));
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  app.decorateRequest('credential', '');
  const allowed = createAllowedMethods();
  app.addHook('onRoute', (route) => allowed.add(route.url, route.method));
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    if (request.is404 && request.method === 'OPTIONS') {
      const methods = allowed.of(request.url);
      if (methods !== undefined) return void reply.code(204).header('allow', methods).send();
    }
    done(refusalOf(request, allowed, isDraining));
  });
  return app;
}

/** What speaks against a request before its body is read. */
function refusalOf(request: FastifyRequest, allowed: AllowedMethods, isDraining: () => boolean): Error | undefined {
  if (request.is404) return unknownRoute(request, allowed);
  const { access, startsWork } = request.routeOptions.config;
  if (access === 'caller') {
    try {
      request.credential = credentialOfRequest(request.raw) ?? '';
    } catch (error) {
      return error instanceof Error ? error : new MeshError('CREDENTIAL_INVALID', 'Invalid API key', { cause: error });
    }
    if (request.credential === '') return new MeshError('CREDENTIAL_MISSING', 'Invalid API key');
  }
  if (startsWork && isDraining()) {
    return new MeshError('SHUTTING_DOWN', 'This server is shutting down. Send the request again, elsewhere or later.');
  }
  return undefined;
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
